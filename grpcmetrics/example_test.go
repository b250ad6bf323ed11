package grpcmetrics_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/tachikoma/tacho"
	"github.com/tachikoma/tacho/grpcmetrics"
)

// A server and a client with metrics.
func Example() {
	reg := tacho.NewRegistry()

	server := grpc.NewServer(grpcmetrics.NewServerMetrics(reg).ServerOptions()...)
	healthpb.RegisterHealthServer(server, health.NewServer())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(listener)

	conn, err := grpc.NewClient(listener.Addr().String(), append(grpcmetrics.NewClientMetrics(reg).DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		fmt.Println(err)
		return
	}
	healthpb.NewHealthClient(conn).Check(context.Background(), &healthpb.HealthCheckRequest{})
	conn.Close()
	server.GracefulStop()

	var text strings.Builder
	reg.WriteText(&text)
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "grpc_") {
			os.Stdout.WriteString(line)
		}
	}
	// Output:
	// grpc_client_handled_total{grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check",grpc_code="OK"} 1
	// grpc_client_msg_received_total{grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check"} 1
	// grpc_client_msg_sent_total{grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check"} 1
	// grpc_client_started_total{grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check"} 1
	// grpc_server_handled_total{grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check",grpc_code="OK"} 1
	// grpc_server_msg_received_total{grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check"} 1
	// grpc_server_msg_sent_total{grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check"} 1
	// grpc_server_started_total{grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check"} 1
}
