package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/skaroctl/skaroctl/internal/terminal"
)

// This file has the certificates that we trust: those of the system, of the environment
// and of the CA file.

// maxCertificates bounds a file with root certificates, in bytes: those of a whole system have
// a quarter of a megabyte.
const maxCertificates = 16 << 20

// ReadCertificates reads a file with root certificates. It refuses a file of more than 16 MiB,
// instead of leaving out the certificates at its end.
func ReadCertificates(ctx context.Context, name string) ([]byte, error) {
	content, err := terminal.ReadFile(ctx, name, maxCertificates+1)
	if err == nil && len(content) > maxCertificates {
		err = &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("it has more than %d bytes", maxCertificates)}
	}
	return content, err
}

// roots returns the system's root certificates and those of the CA file. Nil means the
// system's alone: reading them costs more than a whole message does.
func (e Endpoint) roots(ctx context.Context) (*x509.CertPool, error) {
	if !e.hasScheme("wss") {
		return nil, nil
	}
	if err := checkEnvironment(); err != nil {
		return nil, err
	}
	if e.CAFile == "" {
		return nil, nil
	}
	read := e.ReadCA
	if read == nil {
		read = func(ctx context.Context) ([]byte, error) { return ReadCertificates(ctx, e.CAFile) }
	}
	pem, err := read(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("reading the root certificates from %s: %w", e.CAFile, context.Cause(ctx))
	case err != nil:
		return nil, badEndpoint(hintCAFile, "can't read the root certificates: %v", err)
	}
	pool, err := systemRoots(ctx)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, badEndpoint(hintCAFile, "%s contains no certificate in PEM form", e.CAFile)
	}
	return pool, nil
}

// systemRoots returns a copy of the system's root certificates. On Unix crypto/x509 reads
// SSL_CERT_FILE, which may be a pipe that nothing is written to: then the goroutine that
// reads it outlives ctx, and ends with the process.
func systemRoots(ctx context.Context) (*x509.CertPool, error) {
	pool, err := terminal.Await(ctx, func() (*x509.CertPool, error) {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return x509.NewCertPool(), nil
		}
		return pool, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the root certificates of the system: %w", err)
	}
	return pool, nil
}

// checkEnvironment returns an error if SSL_CERT_FILE or SSL_CERT_DIR can't be used.
// crypto/x509 says nothing then, and trusts no authority or other ones. It reads them once
// in a process, and so does checkEnvironment.
var checkEnvironment = sync.OnceValue(func() error {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return nil // crypto/x509 does not read them there
	}
	return checkRootVariables(os.Getenv("SSL_CERT_FILE"), os.Getenv("SSL_CERT_DIR"))
})

// checkRootVariables is checkEnvironment for the values of the two variables.
func checkRootVariables(file, dirs string) error {
	switch {
	case file != "":
		return checkRootFile(file)
	case dirs != "":
		return checkRootDirs(dirs)
	}
	return nil
}

func checkRootFile(file string) error {
	const hint = "correct SSL_CERT_FILE, or unset it to use the certificates of the system"
	info, err := os.Stat(file)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil // a pipe can be read only once
	}
	var content []byte
	if err == nil {
		content, err = ReadCertificates(context.Background(), file)
	}
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		return badEndpoint(hint, "SSL_CERT_FILE: can't read %s: %v", file, path.Err)
	case err != nil:
		return badEndpoint(hint, "SSL_CERT_FILE: can't read %s: %v", file, err)
	case !hasCertificate(content):
		return badEndpoint(hint, "SSL_CERT_FILE: %s contains no certificate in PEM form", file)
	}
	return nil
}

// checkRootDirs returns an error if none of several directories has a certificate.
func checkRootDirs(dirs string) error {
	for _, dir := range strings.Split(dirs, ":") {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // crypto/x509 goes on with the next one, too
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
				continue // a pipe may have no writer: the read would not end
			}
			if content, err := ReadCertificates(context.Background(), path); err == nil && hasCertificate(content) {
				return nil
			}
		}
	}
	return badEndpoint("correct SSL_CERT_DIR, or unset it to use the certificates of the system",
		"SSL_CERT_DIR: there is no file with a certificate in PEM form in %s", dirs)
}

// certificates returns the certificates in a PEM file, without its other blocks.
func certificates(content []byte) iter.Seq[*x509.Certificate] {
	return func(yield func(*x509.Certificate) bool) {
		for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
			cert, err := x509.ParseCertificate(block.Bytes)
			if block.Type == "CERTIFICATE" && err == nil && !yield(cert) {
				return
			}
		}
	}
}

func hasCertificate(content []byte) bool {
	for range certificates(content) {
		return true
	}
	return false
}

// diagnoseChain explains an untrusted certificate if the server left out an intermediate one. The
// authority that signed the server's certificate is likely an intermediate one if the certificate
// names a URL to get it from, or if the CA file has only authorities with other names.
func (e Endpoint) diagnoseChain(err error) (diagnosis, bool) {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &verify) || !errors.As(err, &unknown) || len(verify.UnverifiedCertificates) == 0 {
		return diagnosis{}, false
	}
	cert := verify.UnverifiedCertificates[0]
	for _, sent := range verify.UnverifiedCertificates {
		if bytes.Equal(sent.RawSubject, cert.RawIssuer) {
			return diagnosis{}, false
		}
	}
	if len(cert.IssuingCertificateURL) == 0 && !e.trustsOthers(cert.RawIssuer) {
		return diagnosis{}, false
	}
	issuer := authorityName(cert)
	return diagnosis{
		why:   fmt.Sprintf("the server does not send the certificate of %s, which signed its TLS certificate", issuer),
		hint:  fmt.Sprintf("give the server the whole chain, with the intermediate certificates; or give the certificate of %s to --ca-file", issuer),
		final: true,
	}, true
}

// trustsOthers reports whether the CA file has authorities, and none with the given name.
func (e Endpoint) trustsOthers(name []byte) bool {
	info, err := os.Stat(e.CAFile)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	content, err := ReadCertificates(context.Background(), e.CAFile)
	others := false
	for trusted := range certificates(content) {
		if bytes.Equal(trusted.RawSubject, name) {
			return false
		}
		others = true
	}
	return others && err == nil
}

// authorityName names the authority that signed a certificate.
func authorityName(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return fmt.Sprintf("%q", c.Issuer.CommonName)
	}
	return fmt.Sprintf("%q", c.Issuer.String())
}
