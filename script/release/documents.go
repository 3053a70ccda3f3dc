package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// writeShared writes what is the same for every platform.
func (r *release) writeShared(ctx context.Context) error {
	step("writing manual pages, completions and documents")
	if err := r.readModules(ctx); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(r.work, "man"), 0o755); err != nil {
		return err
	}
	for _, p := range programs {
		man := []string{"run", "-tags=docs", "./cmd/" + p, "man", filepath.Join(r.work, "man")}
		if err := command(ctx, "go", man, r.epoch()); err != nil {
			return err
		}
		if err := r.writeCompletions(ctx, p); err != nil {
			return err
		}
		if err := r.writeDocuments(p, p); err != nil {
			return err
		}
		if err := r.writeChangelogs(p); err != nil {
			return err
		}
	}
	if err := r.writeDocuments("archive", ""); err != nil {
		return err
	}
	return r.compressManuals()
}

func (r *release) writeCompletions(ctx context.Context, program string) error {
	names := map[string]string{"bash": program, "zsh": "_" + program, "fish": program + ".fish", "powershell": program + ".ps1"}
	for shell, name := range names {
		script, err := exec.CommandContext(ctx, filepath.Join(r.work, binary(host, program)), "completion", shell).Output()
		if err != nil {
			return fmt.Errorf("%s completion %s: %w", program, shell, err)
		}
		if err := r.write(path.Join("completions", shell, name), script); err != nil {
			return err
		}
	}
	return nil
}

// compressManuals writes the manual pages as packages have them.
func (r *release) compressManuals() error {
	pages, err := r.glob("man/*.1")
	if err != nil {
		return err
	}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(r.work, page))
		if err != nil {
			return err
		}
		if err := r.write(page+".gz", compressed(text)); err != nil {
			return err
		}
	}
	return nil
}

// published are the files of the repository that archives have, in their folders.
// Packages have the documents among them, and the rest where their policy wants it.
var published = []string{"README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "docs/*.*", "docs/commands/*", "packaging/skarod.service"}

// documents are the published files that a package of a program has in its folder of
// documents, or with "" all that an archive has.
func documents(program string) ([]string, error) {
	var list []string
	for _, pattern := range published {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			f = filepath.ToSlash(f)
			if program == "" || inPackage(f, program) {
				list = append(list, f)
			}
		}
	}
	return list, nil
}

func inPackage(file, program string) bool {
	if path.Dir(file) == "docs/commands" {
		name := path.Base(file)
		return name == program+".md" || strings.HasPrefix(name, program+"-")
	}
	return file == "README.md" || path.Dir(file) == "docs"
}

// writeDocuments writes the documents of a program into a folder of work. A link to a
// file that is not among them becomes one to the project's page of that file.
func (r *release) writeDocuments(folder, program string) error {
	list, err := documents(program)
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, file := range list {
		has[file] = true
	}
	for _, file := range list {
		text, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			return err
		}
		if path.Ext(file) == ".md" {
			text = relink(text, file, has, web+"/blob/"+r.commit+"/")
		}
		if err := r.write(path.Join("documents", folder, file), text); err != nil {
			return err
		}
	}
	return nil
}

// link is a Markdown link to a place inside the project: target and fragment.
var link = regexp.MustCompile(`\]\(([^)\s#:]+)(#[^)\s]*)?\)`)

// relink makes the links of a file to files that are not there begin with base.
func relink(text []byte, file string, has map[string]bool, base string) []byte {
	return link.ReplaceAllFunc(text, func(found []byte) []byte {
		m := link.FindSubmatch(found)
		target := path.Join(path.Dir(file), string(m[1]))
		if has[target] {
			return found
		}
		return fmt.Appendf(nil, "](%s%s%s)", base, target, m[2])
	})
}
