package main

import "net"

// listenUnix makes a socket. Windows has no modes: the folder decides who can use it.
func listenUnix(path string) (net.Listener, error) { return net.Listen("unix", path) }
