package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// UnixProxy in Options.TrustedProxies means the clients of a Unix socket.
var UnixProxy netip.Prefix

// ParseProxy reads a trusted proxy: an address, a network such as 10.0.0.0/8, or "unix".
func ParseProxy(s string) (netip.Prefix, error) {
	if s == "unix" {
		return UnixProxy, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an address, a network like 10.0.0.0/8, or unix", s)
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}

// local is the address of every client on this machine that no trusted proxy speaks for. It
// may stand for a proxy and all its clients, so limits by address do not apply to it.
var local netip.Prefix

// addressOf returns what limits by address count as one address: an IPv4 address, or a /64
// of IPv6, because one client has that many.
func addressOf(a netip.Addr) netip.Prefix {
	switch {
	case !a.IsValid(), a.IsLoopback():
		return local
	case a.Is4():
		return netip.PrefixFrom(a, 32)
	}
	p, _ := a.Prefix(64)
	return p
}

// peer is the other end of a connection.
type peer struct {
	text    string       // for the log
	address netip.Prefix // for limits by address
}

// String returns the address without a port.
func (p peer) String() string {
	switch {
	case p.address == local:
		return "local"
	case p.address.IsSingleIP():
		return p.address.Addr().String()
	}
	return p.address.String()
}

// parseAddr reads the address of a network connection, which has a port. It returns the zero
// Addr for a Unix socket.
func parseAddr(s string) netip.Addr {
	a, _ := netip.ParseAddrPort(s)
	return a.Addr().WithZone("").Unmap()
}

// peerOf returns the client of a request: the nearest address of X-Forwarded-For that is not
// a trusted proxy, if the request comes from one.
func (o *Options) peerOf(r *http.Request) peer {
	p := peer{text: r.RemoteAddr}
	a := parseAddr(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !o.trusts(a) {
			break
		}
		next, err := parseHop(strings.TrimSpace(hop))
		if err != nil {
			break // what is further away can't be trusted
		}
		a, p.text = next, next.String()
	}
	p.address = addressOf(a)
	return p
}

// parseHop reads an element of X-Forwarded-For. Some proxies add a port.
func parseHop(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		var withPort netip.AddrPort
		withPort, err = netip.ParseAddrPort(s)
		a = withPort.Addr()
	}
	return a.WithZone("").Unmap(), err
}

// trusts reports whether an address belongs to a trusted proxy.
func (o *Options) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(o.TrustedProxies, func(p netip.Prefix) bool {
		if p == UnixProxy {
			return !a.IsValid()
		}
		return p.Contains(a)
	})
}
