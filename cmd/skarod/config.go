package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/server"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// maxConfig bounds what is read of a config file, in bytes.
const maxConfig = 1 << 20

// notInConfig are the flags that a config file can't have. Instead of --limit it has the
// table [limits].
var notInConfig = []string{"config", "help", "limit"}

// limitsTable is the table of a config file that has the limits.
const limitsTable = "limits"

// setting is a line of a config file: a flag, or a limit if it is in the table of those.
type setting struct {
	line   int
	limit  bool
	name   string
	values []string
}

// readConfig reads the settings of a config file, in their order. The error names the line.
func readConfig(ctx context.Context, file string) ([]setting, error) {
	text, err := terminal.ReadFile(ctx, file, maxConfig+1)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, cli.Usage(fmt.Sprintf("the config file can't be read: %v", err), "check --config")
	}
	if len(text) > maxConfig {
		return nil, cli.Usage(fmt.Sprintf("the config file %s has more than %d bytes", file, maxConfig), "check --config")
	}
	return parseConfig(file, text)
}

func parseConfig(file string, text []byte) ([]setting, error) {
	var tables map[string]any
	if err := toml.Unmarshal(text, &tables); err != nil {
		line := 1
		var decode *toml.DecodeError
		if errors.As(err, &decode) {
			line, _ = decode.Position()
		}
		return nil, configError(file, line, err.Error())
	}
	var settings []setting
	lines := linesOf(text)
	for name, value := range tables {
		table, isTable := value.(map[string]any)
		if !isTable {
			table = map[string]any{name: value}
		} else if name != limitsTable {
			return nil, configError(file, lines[[2]string{"", name}], fmt.Sprintf("there is no table [%s]; limits are in [%s]", name, limitsTable))
		}
		for key, value := range table {
			s := setting{line: lines[[2]string{"", name}], limit: isTable, name: key}
			if line := lines[[2]string{name, key}]; isTable && line > 0 { // an inline table has one line
				s.line = line
			}
			var ok bool
			if s.values, ok = texts(value); !ok {
				return nil, configError(file, s.line, key+" must be text, a whole number, true or false, or a list of texts")
			}
			settings = append(settings, s)
		}
	}
	slices.SortFunc(settings, func(a, b setting) int { return a.line - b.line })
	return settings, nil
}

// linesOf returns the line of every table and key of a TOML text that is known to be right. A key
// of the result is a table and a name in it. The table of a top-level key, or of a table, is "".
func linesOf(text []byte) map[[2]string]int {
	lines := map[[2]string]int{}
	var p unstable.Parser
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		var names []string
		line := 0
		for it := e.Key(); it.Next(); {
			if line == 0 {
				line = 1 + bytes.Count(text[:it.Node().Raw.Offset], []byte("\n"))
			}
			names = append(names, string(it.Node().Data))
		}
		if e.Kind == unstable.Table || e.Kind == unstable.ArrayTable {
			table = names
		} else if len(names) > 0 {
			names = slices.Concat(table, names)
		}
		for i := range min(len(names), 2) { // a third name is part of a value
			key := [2]string{"", names[0]}
			if i == 1 {
				key = [2]string{names[0], names[1]}
			}
			if lines[key] == 0 {
				lines[key] = line
			}
		}
	}
	return lines
}

// texts returns a value as flags have it.
func texts(value any) ([]string, bool) {
	switch v := value.(type) {
	case string:
		return []string{v}, true
	case bool:
		return []string{strconv.FormatBool(v)}, true
	case int64:
		return []string{strconv.FormatInt(v, 10)}, true
	case []any:
		var list []string
		for _, x := range v {
			text, ok := x.(string)
			if !ok {
				return nil, false
			}
			list = append(list, text)
		}
		return list, true
	}
	return nil, false
}

func configError(file string, line int, what string) error {
	return cli.Usage(fmt.Sprintf("%s, line %d: %s", file, line, what), "see docs/server-reference.md, \"Config file\", for what it may have")
}

// readConfig completes the options by the config file, if there is one. What the command line
// has stays.
func (o *serveOptions) readConfig(ctx context.Context, flags *pflag.FlagSet) error {
	if o.config == "" {
		return nil
	}
	o.given = map[string][]string{}
	flags.Visit(func(flag *pflag.Flag) {
		o.given[flag.Name] = []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			o.given[flag.Name] = list.GetSlice()
		}
	})
	return o.applyConfig(ctx, flags)
}

// applyConfig gives the settings of the config file to the flags that the command line does
// not have.
func (o *serveOptions) applyConfig(ctx context.Context, flags *pflag.FlagSet) error {
	settings, err := readConfig(ctx, o.config)
	if err != nil {
		return err
	}
	for _, s := range settings {
		flag := flags.Lookup(s.name)
		switch {
		case s.limit:
			err = o.applyLimit(s)
		case flag == nil || slices.Contains(notInConfig, s.name):
			err = fmt.Errorf("there is no setting %q", s.name)
		default:
			err = s.check()
			if err == nil && o.given[s.name] == nil {
				err = setFlag(flag, s.values)
			}
		}
		if err != nil {
			return configError(o.config, s.line, err.Error())
		}
	}
	o.shown = map[string]string{}
	flags.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(notInConfig, flag.Name) {
			o.shown[flag.Name] = flag.Value.String()
		}
	})
	return nil
}

// check returns an error if the values of a setting are wrong, whatever the other settings are.
func (s setting) check() error {
	if slices.Contains(s.values, "") {
		return fmt.Errorf("%s is empty: give a value, or leave the line out", s.name)
	}
	var alone serveOptions
	flags := alone.allFlags()
	if err := setFlag(flags.Lookup(s.name), s.values); err != nil {
		return err
	}
	return alone.checkValues()
}

// applyLimit adds a limit to those of the command line, unless that has it.
func (o *serveOptions) applyLimit(s setting) error {
	if len(s.values) != 1 {
		return fmt.Errorf("%s must be one value", s.name)
	}
	if err := new(server.Options).SetLimit(s.name, s.values[0]); err != nil {
		return err
	}
	if !slices.ContainsFunc(o.given["limit"], func(given string) bool { return strings.HasPrefix(given, s.name+"=") }) {
		o.limits = append(o.limits, s.name+"="+s.values[0])
	}
	return nil
}

// reread returns the options as they are after another look at the config file.
func (o *serveOptions) reread(ctx context.Context) (*serveOptions, error) {
	next := &serveOptions{config: o.config, given: o.given}
	flags := next.allFlags()
	for name, values := range o.given {
		if err := setFlag(flags.Lookup(name), values); err != nil {
			return nil, err
		}
	}
	if err := next.applyConfig(ctx, flags); err != nil {
		return nil, err
	}
	return next, next.check()
}

// allFlags returns the flags of serve, which set the options, and those of every command.
func (o *serveOptions) allFlags() *pflag.FlagSet {
	c := &cobra.Command{}
	o.addFlags(c)
	c.Flags().String("data", "", "")
	c.Flags().Bool("verbose", false, "")
	return c.Flags()
}

// setFlag sets a flag to some values. Only a flag that may be repeated takes several.
func setFlag(flag *pflag.Flag, values []string) error {
	_, repeated := flag.Value.(pflag.SliceValue)
	if !repeated && len(values) != 1 {
		return fmt.Errorf("%s must be one value", flag.Name)
	}
	for _, v := range values {
		if flag.Value.Type() == "bool" && v != "true" && v != "false" {
			return fmt.Errorf("%s is %q, not true or false", flag.Name, v)
		}
		if err := flag.Value.Set(v); err != nil {
			return fmt.Errorf("%s is %q: %w", flag.Name, v, err)
		}
	}
	return nil
}
