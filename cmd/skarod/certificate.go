package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
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
	return c, c.read(ctx)
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
func (c *certificate) read(ctx context.Context) error {
	pair, err := keyPair(ctx, c.certFile, c.keyFile)
	if err == nil {
		c.current.Store(&pair)
	}
	return err
}

// expirySoon is how long before its end a certificate is worth a warning. Of a certificate that
// is made for less than 42 days, it is the last third.
const expirySoon = 14 * 24 * time.Hour

// logRead logs that the current certificate was read, and warns if it expires soon.
func (c *certificate) logRead(log *slog.Logger, read string, now time.Time) {
	x := c.current.Load().Leaf
	log.Info(read, "valid_until", x.NotAfter)
	switch left := x.NotAfter.Sub(now); {
	case left <= 0:
		log.Warn("the certificate has expired, and clients refuse it", "valid_until", x.NotAfter)
	case left < min(expirySoon, x.NotAfter.Sub(x.NotBefore)/3):
		log.Warn("the certificate expires soon", "valid_until", x.NotAfter)
	}
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
