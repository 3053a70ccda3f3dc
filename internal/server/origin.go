package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Only browsers send an Origin. A web page could connect to a server that only the reader of
// the page can reach, even by pretending to come from that server's address (DNS rebinding).
// So an Origin is not allowed just because it equals Host: the operator has to allow it.

// ParseOrigin returns an origin as browsers send it.
func ParseOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is not an origin, like https://chat.example.org", s)
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[scheme]; port != "" {
		host = strings.TrimSuffix(host, port)
	}
	return scheme + "://" + host, nil
}

// allowsOrigin reports whether a request has no Origin, or one that the operator has allowed.
func (s *Server) allowsOrigin(r *http.Request) bool {
	given := r.Header.Values("Origin")
	return len(given) == 0 || len(given) == 1 && slices.Contains(s.o.AllowOrigins, given[0])
}

// onlyLocalNames refuses a request to a loopback address that gives another name for it. A page
// whose name leads to that address (DNS rebinding) sends no Origin when it reads an answer.
func onlyLocalNames(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if at != nil && at.IP.IsLoopback() && !isLocalName(r.Host) {
			http.Error(w, "a loopback address is not served under another name: use the address or localhost", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isLocalName reports whether a Host is an IP address or localhost, with or without a port.
func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

// withoutBody refuses a request with a body: no path takes one. That includes a request with
// both a Content-Length and a Transfer-Encoding, which a proxy may read as two requests.
func withoutBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // below zero: a Transfer-Encoding
			http.Error(w, "a request here has no body", http.StatusBadRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}
