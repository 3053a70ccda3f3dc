package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// member is a file of an archive: its name there and its name in the folder work.
type member struct {
	name, file string
	mode       int64
}

func (r *release) writeArchive(platform string) error {
	folder := r.name("skaroctl", platform)
	members, err := r.members(platform, folder)
	if err != nil {
		return err
	}
	write := r.tarball
	if strings.HasPrefix(platform, "windows/") {
		write = r.zip
	}
	file, err := os.Create(filepath.Join(r.out, r.archive(platform)))
	if err != nil {
		return err
	}
	return errors.Join(write(file, members), file.Close())
}

// archive is the name of the archive of a platform.
func (r *release) archive(platform string) string {
	if strings.HasPrefix(platform, "windows/") {
		return r.name("skaroctl", platform) + ".zip"
	}
	return r.name("skaroctl", platform) + ".tar.gz"
}

// members are the files of the archive of a platform, by name.
func (r *release) members(platform, folder string) ([]member, error) {
	list := []member{{path.Join(folder, thirdParty), path.Join(thirdParty, platform, "archive"), 0o644}}
	for _, pattern := range []string{"man/*.1", "completions/*/*", "documents/archive/*.md", "documents/archive/LICENSE", "documents/archive/*/*.*", "documents/archive/*/*/*"} {
		found, err := r.glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			list = append(list, member{path.Join(folder, strings.TrimPrefix(f, "documents/archive/")), f, 0o644})
		}
	}
	for _, p := range programs {
		file := binary(platform, p)
		list = append(list, member{path.Join(folder, path.Base(file)), file, 0o755})
	}
	slices.SortFunc(list, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

func (r *release) tarball(w io.Writer, members []member) error {
	z := gzipWriter(w)
	t := tar.NewWriter(z)
	for _, m := range members {
		content, err := os.ReadFile(filepath.Join(r.work, m.file))
		if err != nil {
			return err
		}
		h := &tar.Header{Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: m.name, Mode: m.mode, Size: int64(len(content)), ModTime: r.date}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func (r *release) zip(w io.Writer, members []member) error {
	z := zip.NewWriter(w)
	for _, m := range members {
		content, err := os.ReadFile(filepath.Join(r.work, m.file))
		if err != nil {
			return err
		}
		h := &zip.FileHeader{Method: zip.Deflate, Name: m.name, Modified: r.date.UTC()}
		h.SetMode(os.FileMode(m.mode))
		entry, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := entry.Write(content); err != nil {
			return err
		}
	}
	return z.Close()
}

// gzipWriter writes gzip without a name and a date.
func gzipWriter(w io.Writer) *gzip.Writer {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	return z
}

// compressed is a text as gzip.
func compressed(text []byte) []byte {
	var b bytes.Buffer
	z := gzipWriter(&b)
	// Writes into memory do not fail.
	_, _ = z.Write(text)
	_ = z.Close()
	return b.Bytes()
}
