package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// certificate is the certificate of a server. It can be read again while it is in use.
type certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

// readCertificate reads a certificate. Without a file it returns nil: there is no TLS.
func readCertificate(ctx context.Context, certFile, keyFile string) (*certificate, error) {
	if certFile == "" {
		return nil, nil
	}
	c := &certificate{certFile: certFile, keyFile: keyFile}
	_, err := c.read(ctx)
	return c, err
}

// config returns a configuration that always has the current certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
	}
}

// read reads the files, and makes their certificate the current one. After an error, the
// last one stays current.
func (c *certificate) read(ctx context.Context) (validUntil time.Time, err error) {
	pair, err := keyPair(ctx, c.certFile, c.keyFile)
	if err != nil {
		return time.Time{}, err
	}
	c.current.Store(&pair)
	return pair.Leaf.NotAfter, nil
}

// maxPEM bounds a file with a certificate or its key, in bytes.
const maxPEM = 1 << 20

// keyPair reads a certificate and its key. Either may be a pipe that has no writer yet:
// the end of ctx ends the wait.
func keyPair(ctx context.Context, certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readPEM(ctx, certFile)
	var key []byte
	if err == nil {
		key, err = readPEM(ctx, keyFile)
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.X509KeyPair(cert, key)
	}
	if err != nil && ctx.Err() == nil {
		err = cli.Usage(fmt.Sprintf("the certificate can't be used: %v", err), "check --tls-cert and --tls-key")
	}
	return pair, err
}

// readPEM refuses a file that is too large, instead of leaving out the end of a chain.
func readPEM(ctx context.Context, file string) ([]byte, error) {
	text, err := terminal.ReadFile(ctx, file, maxPEM+1)
	if err == nil && len(text) > maxPEM {
		err = fmt.Errorf("%s has more than %d bytes", file, maxPEM)
	}
	return text, err
}
