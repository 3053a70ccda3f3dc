package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// writeCertificate writes a certificate that is valid for a time, and its key.
func writeCertificate(t *testing.T, certFile, keyFile string, validUntil time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: validUntil}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyBytes}), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func TestCertificateIsRenewedOnlyByAGoodOne(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	first, second := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2041, 1, 1, 0, 0, 0, 0, time.UTC)
	writeCertificate(t, certFile, keyFile, first)
	c, err := readCertificate(t.Context(), certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	current := func() time.Time {
		t.Helper()
		pair, err := c.config().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.NotAfter
	}
	if got := current(); !got.Equal(first) {
		t.Errorf("it is valid until %v", got)
	}
	if err := os.WriteFile(keyFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var usage *cli.Error
	if _, err := c.read(t.Context()); !errors.As(err, &usage) || usage.Kind != cli.KindUsage || !current().Equal(first) {
		t.Errorf("without a key: %v, valid until %v", err, current())
	}
	writeCertificate(t, certFile, keyFile, second)
	if until, err := c.read(t.Context()); err != nil || !until.Equal(second) || !current().Equal(second) {
		t.Errorf("renewed: %v, valid until %v", err, current())
	}
}

// A chain that is longer than what is read is refused: without its end, clients would not trust it.
func TestLongCertificateIsNotCut(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, certFile, keyFile, time.Now().Add(time.Hour))
	chain, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{maxPEM, maxPEM + 1} {
		long := append(chain, bytes.Repeat([]byte("\n"), size-len(chain))...)
		if err := os.WriteFile(certFile, long, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readCertificate(t.Context(), certFile, keyFile); (err == nil) != (size == maxPEM) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestNoCertificateMeansNoTLS(t *testing.T) {
	c, err := readCertificate(t.Context(), "", "")
	if c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
}
