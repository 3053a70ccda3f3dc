package main

import "os"

// relayed is empty: Windows has no such signals.
var relayed []os.Signal

// ends reports whether a signal ends this process. All of them do.
func ends(os.Signal) bool { return true }

// signalOf returns nil: no exit status names a signal.
func signalOf(int) os.Signal { return nil }

// endingSignal returns 0: no signal ends a command.
func endingSignal(*os.ProcessState) (number int, name string) { return 0, "" }

// reachesGroup is true: a console interrupts every process in it.
func reachesGroup(os.Signal) bool { return true }

// sameFile is false: Windows gives pipes no identity.
func sameFile(_, _ any) bool { return false }
