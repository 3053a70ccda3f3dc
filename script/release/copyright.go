package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// copyrightHead is the first paragraph of a copyright file in Debian's format (DEP-5).
const copyrightHead = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: skaroctl
Upstream-Contact: ` + web + `/issues
Source: ` + web + `
Comment: The program is linked from the modules below. The paths of their files are
 those that "go mod vendor" gives them.
`

// copyright is the copyright file of a program in Debian's format: a paragraph for our
// files, and one for each module. It also returns the licences of all of it, as SPDX.
func copyright(modules []module) (text, spdx string, err error) {
	ours, err := os.ReadFile("LICENSE")
	if err != nil {
		return "", "", err
	}
	var b strings.Builder
	b.WriteString(copyrightHead)
	all, err := writeParagraph(&b, "*", "the skaroctl authors", "", []licence{{"LICENSE", string(ours)}})
	if err != nil {
		return "", "", err
	}
	for _, m := range modules {
		list, err := m.licences()
		if err != nil {
			return "", "", err
		}
		files := "vendor/" + m.path + "/*"
		comment := m.path + " " + m.version
		if m.path == standardLibrary {
			files, comment = "go/*", "the standard library of "+m.version
		}
		names, err := writeParagraph(&b, files, "the authors of "+m.path, comment, list)
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", m.path, err)
		}
		all = append(all, names...)
	}
	return b.String(), strings.Join(unique(all), " AND "), nil
}

// writeParagraph writes the paragraph of some files, and returns their licences as SPDX.
func writeParagraph(b *strings.Builder, files, authors, comment string, list []licence) ([]string, error) {
	debian, spdx, err := names(list)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(b, "\nFiles: %s\nCopyright: %s\n", files, strings.Join(holders(list, authors), "\n "))
	if comment != "" {
		fmt.Fprintf(b, "Comment: %s\n", comment)
	}
	fmt.Fprintf(b, "License: %s\n", strings.Join(debian, " and "))
	for i, l := range list {
		if i > 0 {
			fmt.Fprintf(b, " .\n %s:\n .\n", l.file)
		}
		writeIndented(b, l.text)
	}
	return spdx, nil
}

// writeIndented writes a text as the continuation of a field.
func writeIndented(b *strings.Builder, text string) {
	if strings.HasPrefix(strings.TrimSpace(text), "Apache License") {
		// Debian's policy wants this text by reference.
		text = "Licensed under the Apache License, Version 2.0. Debian systems have its text in\n/usr/share/common-licenses/Apache-2.0."
	}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimRight(line, " \t\r\n\f")
		if strings.TrimSpace(line) == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
}

var copyrightLine = regexp.MustCompile(`(?im)^\W*copyright\s+((?:\(c\)|©|\d{4}).*)$`)

// holders are the copyright lines of licences, or the authors if there are none.
func holders(list []licence, authors string) []string {
	var found []string
	for _, l := range list {
		if aboutOthers.MatchString(l.file) {
			continue
		}
		for _, m := range copyrightLine.FindAllStringSubmatch(l.text, -1) {
			line := strings.TrimPrefix(strings.TrimPrefix(m[1], "(c)"), "(C)")
			line = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "All rights reserved."))
			found = append(found, strings.TrimSpace(strings.TrimPrefix(line, "©")))
		}
	}
	if len(found) == 0 {
		found = []string{authors}
	}
	return unique(found)
}
