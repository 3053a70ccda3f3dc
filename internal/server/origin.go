package server

import (
	"fmt"
	"net/http"
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

// withoutBody refuses a request with a body: no path takes one. That includes a request with
// both a Content-Length and a Transfer-Encoding, which a proxy may read as two requests.
func withoutBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // below zero: a Transfer-Encoding
			w.Header().Set("Connection", "close")
			http.Error(w, "a request here has no body", http.StatusBadRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}
