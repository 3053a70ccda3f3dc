package output

import (
	"io"
)

// Failure is an error as a person or a program reads it.
type Failure struct {
	Kind    string // see docs/scripting.md, "Exit status"
	Message string // WHAT: WHY
	Status  string // the server's status, where it refused
	Hint    string // what to do about it
}

// WriteFailure writes a failure: in text one line "PROGRAM: WHAT: WHY" and, where
// there is one, a line "hint: …"; in JSON one object on one line.
func WriteFailure(w io.Writer, program string, f Failure, json, colour bool) error {
	var buf []byte
	f.Message, f.Hint = WithoutTokens(f.Message), WithoutTokens(f.Hint)
	if json {
		e := open(nil)
		e.text("kind", f.Kind)
		e.text("message", f.Message)
		e.some("status", f.Status)
		e.some("hint", f.Hint)
		o := open(nil)
		o.key("error")
		o.buf = append(o.buf, e.close()...)
		buf = append(o.close(), '\n')
	} else {
		buf = append(buf, styled(program+":", styleError, colour)+" "+Line(f.Message)+"\n"...)
		if f.Hint != "" {
			buf = append(buf, styled("hint:", styleBold, colour)+" "+Line(f.Hint)+"\n"...)
		}
	}
	_, err := w.Write(buf)
	return err
}
