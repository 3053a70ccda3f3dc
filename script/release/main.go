// Release builds the published files of a version: archives for every platform, packages
// for Debian and for RPM, bills of materials, recipes for package managers, and the
// checksums of all of them. The same commit and the same Go version make the same bytes,
// in any folder and at any time: every date in them is the commit's.
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

var programs = []string{"skaroctl", "skarod"}

const host = runtime.GOOS + "/" + runtime.GOARCH

const everywhere = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64,freebsd/amd64,freebsd/arm64"

// web is the address of the project.
const web = "https://github.com/skaroctl/skaroctl"

func main() {
	platforms := flag.String("platforms", everywhere, "what to build for, as `OS/ARCH,...`; this platform is always among it")
	out := flag.String("out", "dist", "`FOLDER` of the result; it is emptied first")
	flag.Parse()
	list := strings.Split(*platforms, ",")
	// This platform comes first: its programs write the completions, and show early
	// whether the commit is in them.
	list = append([]string{host}, slices.DeleteFunc(list, func(p string) bool { return p == host })...)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, list, *out); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is a release being built. The folder work has, by name, the files that go into
// archives and packages.
type release struct {
	work, out string
	version   string
	commit    string
	date      time.Time // of the commit, and of everything
	modules   map[string]module
}

func run(ctx context.Context, platforms []string, out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	r := &release{work: work, out: out}
	// A Go version whose SHA-512 saves its state in another form builds programs that can't
	// make a token.
	step("testing that this version of Go makes tokens")
	if err := command(ctx, "go", []string{"test", "-count=1", "-run=Token", "./internal/proto"}); err != nil {
		return err
	}
	if err := r.buildAll(ctx, platforms); err != nil {
		return err
	}
	if err := r.writeShared(ctx); err != nil {
		return err
	}
	for _, p := range platforms {
		if err := r.publish(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	if err := r.writeRecipes(platforms); err != nil {
		return err
	}
	return writeSums(out)
}

// publish writes the files of one platform.
func (r *release) publish(ctx context.Context, platform string) error {
	step("writing the archive for %s", platform)
	if err := r.writeThirdParty(platform); err != nil {
		return err
	}
	if err := r.writeArchive(platform); err != nil {
		return err
	}
	step("writing the bills of materials for %s", platform)
	if err := r.writeBills(ctx, platform); err != nil {
		return err
	}
	if !strings.HasPrefix(platform, "linux/") {
		return nil
	}
	for _, program := range programs {
		for _, packager := range []string{"deb", "rpm"} {
			step("writing the .%s of %s for %s", packager, program, platform)
			if err := r.writePackage(ctx, program, packager, platform); err != nil {
				return fmt.Errorf("the .%s of %s: %w", packager, program, err)
			}
		}
	}
	return nil
}

// step prints what is done next: a release takes minutes.
func step(format string, args ...any) {
	fmt.Println("release: " + fmt.Sprintf(format, args...))
}

// epoch is the date for other programs (reproducible-builds.org/docs/source-date-epoch).
func (r *release) epoch() string { return "SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.date.Unix(), 10) }

// name is the first part of the name of a published file.
func (r *release) name(program, platform string) string {
	return program + "_" + r.version + "_" + strings.ReplaceAll(platform, "/", "_")
}

// write writes a file of the folder work.
func (r *release) write(name string, content []byte) error {
	name = filepath.Join(r.work, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o644)
}

// glob finds files of the folder work, by their names there.
func (r *release) glob(pattern string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(r.work, pattern))
	for i, f := range found {
		found[i] = filepath.ToSlash(strings.TrimPrefix(f, r.work+string(filepath.Separator)))
	}
	return found, err
}

// binary is the name of a program in the folder work.
func binary(platform, program string) string {
	if strings.HasPrefix(platform, "windows/") {
		program += ".exe"
	}
	return path.Join("bin", platform, program)
}

// writeSums writes SHA256SUMS, for `sha256sum --check`.
func writeSums(folder string) error {
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range entries {
		sum, err := sha256sum(filepath.Join(folder, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s  %s\n", sum, e.Name())
	}
	step("%d files are in %s", len(entries), folder)
	return os.WriteFile(filepath.Join(folder, "SHA256SUMS"), []byte(text.String()), 0o644)
}

func sha256sum(file string) (string, error) {
	content, err := os.ReadFile(file)
	return fmt.Sprintf("%x", sha256.Sum256(content)), err
}
