package cli

// advised is an error that says what to do about it.
type advised struct {
	error
	hint string
}

// Advise gives an error a hint: what the reader can do about it, where only the command
// knows that.
func Advise(err error, hint string) error { return &advised{err, hint} }

// Unwrap returns the error without its hint.
func (e *advised) Unwrap() error { return e.error }

// Hint is what the reader can do about it.
func (e *advised) Hint() string { return e.hint }
