// Command barenet answers each connection with a text, over package net alone.
package main

import (
	"net"
	"os"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		c.Write([]byte("HTTP/1.0 200 OK\r\n\r\nhello\n"))
		c.Close()
	}
}
