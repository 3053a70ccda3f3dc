package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// thirdParty is the file with the licences of the linked modules: most of them must
// accompany every copy.
const thirdParty = "THIRD-PARTY-LICENSES"

// module is something that a program is linked from.
type module struct {
	path, version string
	folder        string // its source on this machine
}

// standardLibrary is the path that stands for Go itself among the modules.
const standardLibrary = "go"

// readModules finds the source of every module that a program may be linked from.
func (r *release) readModules(ctx context.Context) error {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT GOVERSION: %w", err)
	}
	env := strings.Split(string(root), "\n")
	listed, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}}\t{{.Version}}\t{{.Dir}}", "all").Output()
	if err != nil {
		return fmt.Errorf("go list -m all: %w", err)
	}
	r.modules = map[string]module{standardLibrary: {standardLibrary, env[1], env[0]}}
	for line := range strings.Lines(string(listed)) {
		m := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		r.modules[m[0]] = module{m[0], m[1], m[2]}
	}
	return nil
}

// linked are the modules that programs are linked from, by path. They depend on the
// platform: what is made for one may not depend on which others are built.
func (r *release) linked(platform string, programs ...string) ([]module, error) {
	used := map[string]bool{standardLibrary: true}
	for _, p := range programs {
		info, err := buildinfo.ReadFile(filepath.Join(r.work, binary(platform, p)))
		if err != nil {
			return nil, err
		}
		for _, m := range info.Deps {
			used[m.Path] = true
		}
	}
	var list []module
	for p := range used {
		m, ok := r.modules[p]
		if !ok {
			return nil, fmt.Errorf("%s is linked, and `go list -m all` does not know it", p)
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b module) int { return strings.Compare(a.path, b.path) })
	return list, nil
}

// licence is a file with terms of a module.
type licence struct{ file, text string }

// licences are the terms of a module.
func (m module) licences() ([]licence, error) {
	var list []licence
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*", "NOTICE*"} {
		found, err := filepath.Glob(filepath.Join(m.folder, pattern))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			text, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			list = append(list, licence{filepath.Base(f), strings.TrimSpace(string(text))})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no licence in %s", m.path, m.folder)
	}
	return list, nil
}

// writeThirdParty writes the licences of what the programs of a platform are linked
// from: for the archive of both, and on Linux for the packages of each.
func (r *release) writeThirdParty(platform string) error {
	of := map[string][]string{"archive": programs}
	if strings.HasPrefix(platform, "linux/") {
		for _, p := range programs {
			of[p] = []string{p}
		}
	}
	for name, programs := range of {
		modules, err := r.linked(platform, programs...)
		if err != nil {
			return err
		}
		text, err := thirdPartyText(modules)
		if err != nil {
			return err
		}
		if err := r.write(path.Join(thirdParty, platform, name), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

func thirdPartyText(modules []module) (string, error) {
	var text strings.Builder
	for _, m := range modules {
		list, err := m.licences()
		if err != nil {
			return "", err
		}
		for _, l := range list {
			fmt.Fprintf(&text, "---- %s %s: %s ----\n\n%s\n\n", m.path, m.version, l.file, l.text)
		}
	}
	return text.String(), nil
}

// aboutOthers are names of files in a module that name no terms of its own code: notices
// on the modules it uses, which have terms of their own here, and on a picture.
var aboutOthers = regexp.MustCompile(`3RD-PARTY|LOGO|NOTICE`)

// terms recognises a licence by a sentence that no other has. The SPDX name of the terms
// is that of Debian unless it says otherwise.
var terms = []struct{ debian, spdx, sentence, without string }{
	{debian: "Apache-2.0", sentence: "Apache License Version 2.0"},
	{debian: "Expat", spdx: "MIT", sentence: "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{debian: "ISC", sentence: "Permission to use, copy, modify, and distribute this software for any purpose"},
	{debian: "BSD-2-clause", spdx: "BSD-2-Clause", sentence: "Redistributions of source code must retain the above copyright", without: "Neither the name"},
	{debian: "BSD-3-clause", spdx: "BSD-3-Clause", sentence: "Neither the name"},
	{debian: "public-domain", spdx: "blessing", sentence: "SQLite has been dedicated to the public domain"},
}

// names are the short names of the licences in a list, as Debian and as SPDX call them.
func names(list []licence) (debian, spdx []string, err error) {
	for _, l := range list {
		if aboutOthers.MatchString(l.file) {
			continue
		}
		text := strings.Join(strings.Fields(l.text), " ")
		known := false
		for _, t := range terms {
			if strings.Contains(text, t.sentence) && (t.without == "" || !strings.Contains(text, t.without)) {
				known = true
				debian = append(debian, t.debian)
				if t.spdx == "" {
					t.spdx = t.debian
				}
				spdx = append(spdx, t.spdx)
			}
		}
		if !known {
			return nil, nil, fmt.Errorf("%s has a licence that script/release does not know", l.file)
		}
	}
	return unique(debian), unique(spdx), nil
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
