package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// buildAll builds both programs for every platform, and reads from those of this one what
// they were built from.
func (r *release) buildAll(ctx context.Context, platforms []string) error {
	builds, building := errgroup.WithContext(ctx)
	builds.SetLimit(2) // the largest package is compiled by one core
	for _, p := range platforms {
		builds.Go(func() error {
			step("building for %s", p)
			if err := build(building, p, r.work); err != nil || p != host {
				return err
			}
			return r.readOrigin(filepath.Join(r.work, binary(host, "skaroctl")))
		})
	}
	if err := builds.Wait(); err != nil {
		return err
	}
	step("the version is %s", r.version)
	return nil
}

// build builds both programs. It also sets what else could change the result.
func build(ctx context.Context, platform, work string) error {
	goos, goarch, ok := strings.Cut(platform, "/")
	if !ok {
		return fmt.Errorf("%q is not a platform like linux/amd64", platform)
	}
	args := []string{"build", "-buildvcs=auto", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(work, "bin", goos, goarch) + "/"}
	for _, p := range programs {
		args = append(args, "./cmd/"+p)
	}
	return command(ctx, "go", args, "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off")
}

// readOrigin reads from a program the version, the commit and the date it was built from.
func (r *release) readOrigin(program string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			r.commit = s.Value
		case "vcs.time":
			if r.date, err = time.Parse(time.RFC3339, s.Value); err != nil {
				return err
			}
		}
	}
	if r.date.IsZero() {
		return errors.New("the go command does not see the commit: a release is made in a clone of the repository (a worktree of git will not do)")
	}
	r.version = strings.TrimPrefix(info.Main.Version, "v")
	return nil
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

// tool runs a command of tools/go.mod. It is built without the name of its folder, since
// a bill of materials has its sum.
func tool(ctx context.Context, name string, args []string, env ...string) error {
	args = append([]string{"tool", "-modfile=tools/go.mod", name}, args...)
	return command(ctx, "go", args, append(env, "GOFLAGS=-trimpath", "CGO_ENABLED=0")...)
}

// writeBills writes each program's bill of materials, as CycloneDX JSON.
func (r *release) writeBills(ctx context.Context, platform string) error {
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
