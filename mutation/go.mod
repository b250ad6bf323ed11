module github.com/tachikoma/tacho/mutation

go 1.24
