// certificate.go makes the TLS certificate of one run.

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// identity is who this server says it is.
type identity struct {
	cert   tls.Certificate
	caFile string // what a client has to trust
}

// thumbprint is the certificate's SHA-1, which leases tell.
var thumbprint string

func (id *identity) print(sum []byte) string {
	return strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum)), " ", ":")
}

func (id *identity) sha1() string {
	sum := sha1.Sum(id.cert.Certificate[0])
	return id.print(sum[:])
}

func (id *identity) sha256() string {
	sum := sha256.Sum256(id.cert.Certificate[0])
	return id.print(sum[:])
}

// newIdentity makes a certificate for loopback: a self-signed one, or with mode
// "ca" one of a certificate authority that nobody else uses.
func newIdentity(mode, listen, file string) (*identity, error) {
	if mode != "self" && mode != "ca" {
		return nil, fmt.Errorf("-tls %s: want self or ca", mode)
	}
	template := func(cn string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: cn},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), BasicConstraintsValid: true,
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := template("vcenter.test")
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.DNSNames, leaf.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if host, _, _ := net.SplitHostPort(listen); net.ParseIP(host) != nil {
		leaf.IPAddresses = append(leaf.IPAddresses, net.ParseIP(host))
	}
	issuer, issuerKey := leaf, key
	if mode == "ca" {
		issuer = template("throw-away CA")
		issuer.IsCA, issuer.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		if issuerKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		return nil, err
	}
	trusted := der
	if mode == "ca" {
		if trusted, err = x509.CreateCertificate(rand.Reader, issuer, issuer, &issuerKey.PublicKey, issuerKey); err != nil {
			return nil, err
		}
	}
	id := &identity{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, caFile: file}
	thumbprint = id.sha1()
	return id, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted}), 0o644)
}
