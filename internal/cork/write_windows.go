package cork

// writeNow writes nothing: on Windows, every write counts as one that has to wait.
func writeNow(uintptr, []byte) int { return 0 }
