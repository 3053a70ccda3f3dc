// Release builds the published files of a version: archives for every platform, packages
// for Debian and for RPM, bills of materials, and the checksums of all of them. The same
// commit and the same Go version make the same bytes, in any folder and at any time:
// every date in them is the commit's.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

var programs = []string{"skaroctl", "skarod"}

const host = runtime.GOOS + "/" + runtime.GOARCH

const everywhere = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64,freebsd/amd64,freebsd/arm64"

func main() {
	platforms := flag.String("platforms", everywhere, "what to build for, as `OS/ARCH,...`; this platform is always among it")
	out := flag.String("out", "dist", "`FOLDER` of the result; it is emptied first")
	flag.Parse()
	list := strings.Split(*platforms, ",")
	// This platform's programs write the completions, and say whether the commit is
	// in them, which should not take minutes to learn.
	list = append([]string{host}, slices.DeleteFunc(list, func(p string) bool { return p == host })...)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, list, *out); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
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
	r := release{work: work, out: out}
	// A Go version whose SHA-512 saves its state in another form builds programs that can't
	// make a token.
	if err := command(ctx, "go", []string{"test", "-count=1", "-run=Token", "./internal/proto"}); err != nil {
		return err
	}
	builds, building := errgroup.WithContext(ctx)
	builds.SetLimit(2) // the largest package is compiled by one core
	for _, p := range platforms {
		builds.Go(func() error {
			fmt.Println("building for", p)
			if err := build(building, p, work); err != nil || p != host {
				return err
			}
			r.version, r.date, err = origin(filepath.Join(work, binary(host, "skaroctl")))
			return err
		})
	}
	if err := builds.Wait(); err != nil {
		return err
	}
	if err := r.writeShared(ctx); err != nil {
		return err
	}
	for _, p := range platforms {
		if err := r.writeLicences(ctx, p); err != nil {
			return fmt.Errorf("licences for %s: %w", p, err)
		}
		if err := r.archive(p); err != nil {
			return fmt.Errorf("archive for %s: %w", p, err)
		}
		if err := r.bills(ctx, p); err != nil {
			return fmt.Errorf("bill of materials for %s: %w", p, err)
		}
		if strings.HasPrefix(p, "linux/") {
			if err := r.packages(ctx, p); err != nil {
				return fmt.Errorf("packages for %s: %w", p, err)
			}
		}
	}
	return sums(out)
}

// binary is where a program is, below the folder of the work.
func binary(platform, program string) string {
	if strings.HasPrefix(platform, "windows/") {
		program += ".exe"
	}
	return path.Join("bin", platform, program)
}

// build builds both programs. What else could change the result is set here too.
func build(ctx context.Context, platform, work string) error {
	goos, goarch, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("%q is no platform like linux/amd64", platform)
	}
	args := []string{"build", "-buildvcs=auto", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(work, "bin", goos, goarch) + "/"}
	for _, p := range programs {
		args = append(args, "./cmd/"+p)
	}
	return command(ctx, "go", args, "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off")
}

// command runs a command. It is silent unless the command fails.
func command(ctx context.Context, name string, args []string, env ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// origin reads from a program the version and the date of what it was built from.
func origin(program string) (version string, date time.Time, err error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", time.Time{}, err
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			date, err = time.Parse(time.RFC3339, s.Value)
		}
	}
	if err == nil && date.IsZero() {
		err = errors.New("the go command does not see the commit: a release is made in a clone of the repository (a worktree of git will not do)")
	}
	return strings.TrimPrefix(info.Main.Version, "v"), date, err
}

// release is a release being built. The folder work has, by name, the files that go into
// archives and packages.
type release struct {
	work, out string
	version   string
	date      time.Time // of the commit, and of everything
}

// epoch is the date for other programs (reproducible-builds.org/docs/source-date-epoch).
func (r *release) epoch() string { return "SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.date.Unix(), 10) }

// asTheyAre are the files of the repository that are published unchanged, in their
// folders, so that links between them work.
var asTheyAre = []string{"README.md", "LICENSE", "CHANGELOG.md", "docs/*.*", "docs/commands/*", "packaging/skarod.service"}

// writeShared writes what is the same for every platform.
func (r *release) writeShared(ctx context.Context) error {
	man := filepath.Join(r.work, "man")
	if err := os.Mkdir(man, 0o755); err != nil {
		return err
	}
	for _, p := range programs {
		if err := command(ctx, "go", []string{"run", "-tags=docs", "./cmd/" + p, "man", man}, r.epoch()); err != nil {
			return err
		}
		for shell, name := range map[string]string{"bash": p, "zsh": "_" + p, "fish": p + ".fish", "powershell": p + ".ps1"} {
			program := filepath.Join(r.work, binary(host, p))
			script, err := exec.CommandContext(ctx, program, "completion", shell).Output()
			if err != nil {
				return fmt.Errorf("%s completion %s: %w", p, shell, err)
			}
			if err := r.write(path.Join("completions", shell, name), script); err != nil {
				return err
			}
		}
	}
	for _, pattern := range asTheyAre {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, from := range found {
			text, err := os.ReadFile(from)
			if err == nil {
				err = r.write(filepath.ToSlash(from), text)
			}
			if err != nil {
				return err
			}
		}
	}
	// Packages have the manual and the changes compressed.
	pages, err := filepath.Glob(filepath.Join(man, "*.1"))
	if err != nil {
		return err
	}
	for _, page := range append(pages, "CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		if err := compress(&packed, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
		if err := r.write(path.Join("packed", filepath.Base(page)+".gz"), packed.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// thirdParty is the file with the licences of the linked modules: most of them must
// accompany every copy.
const thirdParty = "THIRD-PARTY-LICENSES"

// writeLicences writes that file, and the one that packages have, where ours is first.
// They are of one platform: what is made for it may not depend on which others are.
func (r *release) writeLicences(ctx context.Context, platform string) error {
	used := map[string]bool{}
	for _, p := range programs {
		info, err := buildinfo.ReadFile(filepath.Join(r.work, binary(platform, p)))
		if err != nil {
			return err
		}
		for _, m := range info.Deps {
			used[m.Path] = true
		}
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	listed, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}}\t{{.Version}}\t{{.Dir}}", "all").Output()
	if err != nil {
		return fmt.Errorf("go list -m all: %w", err)
	}
	text, err := licences("The Go programming language and its standard library", strings.TrimSpace(string(root)))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(listed)) {
		module := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if !used[module[0]] {
			continue
		}
		more, err := licences(module[0]+" "+module[1], module[2])
		if err != nil {
			return err
		}
		text += more
	}
	if err := r.write(thirdParty, []byte(text)); err != nil {
		return err
	}
	ours, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	return r.write("copyright", append(ours, "\n\nThe programs are made of these, too:\n\n"+text...))
}

// licences are the licences in a folder, under a title.
func licences(title, folder string) (string, error) {
	text := ""
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*", "NOTICE*"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return "", err
		}
		for _, f := range found {
			content, err := os.ReadFile(f)
			if err != nil {
				return "", err
			}
			text += "---- " + title + ": " + filepath.Base(f) + " ----\n\n" + strings.TrimSpace(string(content)) + "\n\n"
		}
	}
	if text == "" {
		return "", fmt.Errorf("%s has no licence in %s", title, folder)
	}
	return text, nil
}

func (r *release) write(name string, content []byte) error {
	name = filepath.Join(r.work, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, 0o644)
}

// compress writes gzip without a name and a date.
func compress(w io.Writer, write func(io.Writer) error) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err == nil {
		err = write(z)
	}
	if err == nil {
		err = z.Close()
	}
	return err
}

// archive writes the archive of a platform.
func (r *release) archive(platform string) error {
	members := []string{thirdParty}
	for _, pattern := range append([]string{"man/*", "completions/*/*"}, asTheyAre...) {
		found, err := filepath.Glob(filepath.Join(r.work, pattern))
		if err != nil {
			return err
		}
		for _, f := range found {
			members = append(members, filepath.ToSlash(strings.TrimPrefix(f, r.work+string(filepath.Separator))))
		}
	}
	for _, p := range programs {
		members = append(members, binary(platform, p))
	}
	slices.Sort(members)
	folder := r.name("skaroctl", platform)
	write, suffix := r.tarball, ".tar.gz"
	if strings.HasPrefix(platform, "windows/") {
		write, suffix = r.zip, ".zip"
	}
	file, err := os.Create(filepath.Join(r.out, folder+suffix))
	if err != nil {
		return err
	}
	return errors.Join(write(file, folder, members), file.Close())
}

// name is the first part of the name of a file of the release.
func (r *release) name(program, platform string) string {
	return program + "_" + r.version + "_" + strings.ReplaceAll(platform, "/", "_")
}

// inArchive is the name of a member in the archive, and its mode.
func inArchive(folder, member string) (string, int64) {
	if strings.HasPrefix(member, "bin/") {
		return path.Join(folder, path.Base(member)), 0o755
	}
	return path.Join(folder, member), 0o644
}

func (r *release) tarball(w io.Writer, folder string, members []string) error {
	return compress(w, func(w io.Writer) error {
		t := tar.NewWriter(w)
		for _, m := range members {
			content, err := os.ReadFile(filepath.Join(r.work, m))
			if err != nil {
				return err
			}
			h := &tar.Header{Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Size: int64(len(content)), ModTime: r.date}
			h.Name, h.Mode = inArchive(folder, m)
			if err := t.WriteHeader(h); err != nil {
				return err
			}
			if _, err := t.Write(content); err != nil {
				return err
			}
		}
		return t.Close()
	})
}

func (r *release) zip(w io.Writer, folder string, members []string) error {
	z := zip.NewWriter(w)
	for _, m := range members {
		content, err := os.ReadFile(filepath.Join(r.work, m))
		if err != nil {
			return err
		}
		h := &zip.FileHeader{Method: zip.Deflate, Modified: r.date.UTC()}
		name, mode := inArchive(folder, m)
		h.Name = name
		h.SetMode(os.FileMode(mode))
		member, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := member.Write(content); err != nil {
			return err
		}
	}
	return z.Close()
}

// tool is a command of tools/go.mod, for this platform and without the folder it
// was built in: a bill of materials has its sum.
func tool(ctx context.Context, name string, args []string, env ...string) error {
	args = append([]string{"tool", "-modfile=tools/go.mod", name}, args...)
	return command(ctx, "go", args, append(env, "GOFLAGS=-trimpath", "CGO_ENABLED=0")...)
}

// bills writes each program's bill of materials, as CycloneDX JSON.
func (r *release) bills(ctx context.Context, platform string) error {
	for _, p := range programs {
		if err := tool(ctx, "cyclonedx-gomod", []string{
			"bin", "-json", "-std", "-noserial", "-notimestamp",
			"-output", filepath.Join(r.out, r.name(p, platform)+".cdx.json"), filepath.Join(r.work, binary(platform, p)),
		}); err != nil {
			return err
		}
	}
	return nil
}

// packages writes a .deb and an .rpm of each program.
func (r *release) packages(ctx context.Context, platform string) error {
	_, arch, _ := strings.Cut(platform, "/")
	for _, p := range programs {
		for _, packager := range []string{"deb", "rpm"} {
			if err := tool(ctx, "nfpm", []string{"package", "--config", "packaging/" + p + ".yaml", "--packager", packager, "--target", r.out},
				"WORK="+r.work, "ARCH="+arch, "VERSION="+r.version, r.epoch()); err != nil {
				return err
			}
		}
	}
	return nil
}

// sums writes SHA256SUMS, for `sha256sum --check`.
func sums(folder string) error {
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	fmt.Print(text.String())
	return os.WriteFile(filepath.Join(folder, "SHA256SUMS"), []byte(text.String()), 0o644)
}
