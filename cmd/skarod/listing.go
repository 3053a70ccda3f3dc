package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/skaroctl/skaroctl/internal/commandline"
	"github.com/skaroctl/skaroctl/internal/store"
)

// listing is how a command that lists something writes it.
type listing struct{ format string }

func (l *listing) addFlags(c *cobra.Command) {
	c.Flags().StringVarP(&l.format, "output", "o", "auto", "`FORMAT`: auto, text or json; auto is text on a terminal, JSON Lines elsewhere")
	commandline.Choices(c, "output", "auto", "text", "json")
}

// list opens the store for a command that lists something, and writes out the list
// when it is whole.
func (a *app) list(l listing, write func(s *store.Store, asJSON bool, out io.Writer) error) error {
	switch l.format {
	case "auto", "text", "json":
	default:
		return &usageError{fmt.Sprintf("--output is %q, not one of auto, text, json", l.format), "leave it out for what fits"}
	}
	asJSON := l.format == "json" || l.format == "auto" && !a.streams.OutTerminal
	return a.withStore(false, func(s *store.Store) error {
		var out bytes.Buffer
		if err := write(s, asJSON, &out); err != nil {
			return err
		}
		_, err := a.streams.Out.Write(out.Bytes())
		return err
	})
}

// writeJSON writes one object on a line.
func writeJSON(out io.Writer, object any) error { return json.NewEncoder(out).Encode(object) }
