package main

import "net"

// listenUnix makes a socket. Windows has no file modes, so the permissions of the folder apply.
func listenUnix(path string) (net.Listener, error) { return net.Listen("unix", path) }
