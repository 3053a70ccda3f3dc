package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress is a bar on the terminal for --lines. A nil *progress is none.
type progress struct{ bar *progressbar.ProgressBar }

// progress makes a bar where standard error is a terminal and the input is a
// file, whose length is known; elsewhere nil.
func (a *app) progress() *progress {
	in, ok := a.streams.In.(*os.File)
	if !ok || !a.streams.ErrTerminal || a.streams.OutTerminal || a.flags.quiet || a.flags.verbose {
		return nil
	}
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	a.bar = &progress{progressbar.NewOptions64(info.Size(),
		progressbar.OptionSetWriter(a.streams.Err), progressbar.OptionSetDescription("sending"), progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
	)}
	return a.bar
}

// add counts bytes of the input that were sent to one of so many recipients.
func (p *progress) add(bytes, recipients int) {
	if p != nil {
		_ = p.bar.Add(bytes / recipients)
	}
}

func (p *progress) clear() {
	if p != nil {
		_ = p.bar.Clear()
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p != nil {
		_ = p.bar.Finish()
		p.clear()
	}
}
