package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// packageData is what packaging/nfpm.yaml.tmpl is filled in with.
type packageData struct {
	Program   string
	Packager  string // deb or rpm
	Platform  string // of the go command, like linux/amd64
	Arch      string
	Version   string
	License   string // SPDX, of the program and all it is linked from
	Work      string // the folder with the files
	Changelog string // for nfpm, which puts it into the header of an RPM

	Manuals   []string // in Work/man
	Documents []string // in Work/documents/Program
}

func (r *release) writePackage(ctx context.Context, program, packager, platform string) error {
	modules, err := r.linked(platform, program)
	if err != nil {
		return err
	}
	text, spdx, err := copyright(modules)
	if err != nil {
		return err
	}
	if err := r.write(path.Join("copyright", platform, program), []byte(text)); err != nil {
		return err
	}
	documents, err := documents(program)
	if err != nil {
		return err
	}
	manuals, err := r.glob("man/" + program + "*.1.gz")
	if err != nil {
		return err
	}
	for i, m := range manuals {
		manuals[i] = path.Base(m)
	}
	config, err := fill("packaging/nfpm.yaml.tmpl", packageData{
		Program: program, Packager: packager, Platform: platform, Arch: path.Base(platform),
		Version: r.version, License: spdx, Work: r.work,
		Changelog: filepath.Join(r.work, "changelogs", program, "rpm.yaml"),
		Manuals:   manuals, Documents: documents,
	}, nil)
	if err != nil {
		return err
	}
	name := path.Join("nfpm", program+"."+packager+".yaml")
	if err := r.write(name, config); err != nil {
		return err
	}
	return tool(ctx, "nfpm", []string{"package", "--config", filepath.Join(r.work, name), "--packager", packager, "--target", r.out}, r.epoch())
}

// fill fills in a template of this repository.
func fill(file string, data any, functions template.FuncMap) ([]byte, error) {
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		return nil, err
	}
	t, err := template.New(path.Base(file)).Option("missingkey=error").Funcs(functions).Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.Bytes(), err
}

// maintainer is the name that Debian's and RPM's changelogs have for the maker of a package.
const maintainer = "The skaroctl authors <skaroctl@users.noreply.github.com>"

// writeChangelogs writes the changes as packages have them: ours as they are, and an entry
// for the package in the format of Debian and in that of nfpm for RPM.
func (r *release) writeChangelogs(program string) error {
	ours, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	date, err := releaseDate(string(ours), r.version, r.date)
	if err != nil {
		return err
	}
	debian := fmt.Sprintf("%s (%s-1) unstable; urgency=medium\n\n  * New upstream version; changelog.gz lists its changes.\n\n -- %s  %s\n",
		program, debianVersion(r.version), maintainer, date.Format(time.RFC1123Z))
	rpm := fmt.Sprintf("- semver: %q\n  date: %s\n  packager: %s\n  changes:\n    - note: New version %s; its CHANGELOG.md lists the changes.\n",
		rpmVersion(r.version)+"-1", date.Format(time.RFC3339), maintainer, r.version)
	for name, text := range map[string][]byte{
		"changelog.gz":        compressed(ours),
		"changelog.Debian.gz": compressed([]byte(debian)),
		"rpm.yaml":            []byte(rpm),
	} {
		if err := r.write(path.Join("changelogs", program, name), text); err != nil {
			return err
		}
	}
	return nil
}

// releaseDate is the date of a version in the changelog. A version without a tag has that
// of its commit instead; one with a tag and without a heading is a mistake.
func releaseDate(changelog, version string, commit time.Time) (time.Time, error) {
	if strings.ContainsAny(version, "-+") {
		return commit.UTC(), nil
	}
	m := regexp.MustCompile(`(?m)^## ` + regexp.QuoteMeta(version) + ` - (\S+)$`).FindStringSubmatch(changelog)
	if m == nil {
		return time.Time{}, fmt.Errorf("CHANGELOG.md has no heading `## %s - DATE`", version)
	}
	return time.Parse(time.DateOnly, m[1])
}

// debianVersion is a version as nfpm writes it for Debian, where ~ sorts before nothing.
func debianVersion(version string) string { return strings.Replace(version, "-", "~", 1) }

// rpmVersion is a version as nfpm writes it for RPM, which has no other hyphen either.
func rpmVersion(version string) string {
	return strings.ReplaceAll(debianVersion(version), "-", "_")
}
