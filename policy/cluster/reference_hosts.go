package cluster

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// hostPort is a host with its port, 0 where none is written.
type hostPort struct {
	host string
	port uint16
}

// hostsIn finds the hosts that a value names, in URLs alone where urlsOnly is set.
func hostsIn(value string, urlsOnly bool) []hostPort {
	var out []hostPort
	for value != "" {
		end := strings.IndexAny(value, betweenWords)
		if end < 0 {
			end = len(value)
		}
		out = appendHosts(out, value[:end], value[end:], urlsOnly)
		value = strings.TrimLeft(value[end:], betweenWords)
	}
	return out
}

// betweenWords are the characters that part words, in a list, a connection string or a line of a shell; schemeEnd ends a URL's scheme.
const betweenWords, schemeEnd = " \t\r\n;\"'`|<>", "://"

// appendHosts reads one word: a URL, a list of URLs, or a list of hosts with ports. after is what follows the word.
func appendHosts(to []hostPort, word, after string, urlsOnly bool) []hostPort {
	for {
		i := strings.Index(word, schemeEnd)
		if i < 0 {
			if !urlsOnly {
				to = appendList(to, word, "", after)
			}
			return to
		}
		start := schemeStart(word, i)
		if before, isList := strings.CutSuffix(word[:start], ","); isList && !urlsOnly {
			to = appendList(to, before, "", word[start:]+after)
		}
		scheme, rest := word[start:i], word[i+len(schemeEnd):]
		authority, next := cutAuthority(rest)
		to = appendList(to, authority, scheme, rest[len(authority):]+after)
		if next == len(rest) {
			return to
		}
		word = rest[next:]
	}
}

// schemeStart is where the scheme begins that ends at end.
func schemeStart(word string, end int) int {
	for end > 0 && strings.IndexByte(",=?&/#@()", word[end-1]) < 0 {
		end--
	}
	return end
}

// cutAuthority gives the part of a URL with its hosts, and where the next URL of a list begins: behind a comma.
func cutAuthority(rest string) (authority string, next int) {
	end := strings.IndexAny(rest, "/?#\\")
	if end < 0 {
		return rest, len(rest)
	}
	authority = rest[:end]
	for from := 0; ; {
		i := strings.Index(rest[from:], schemeEnd)
		if i < 0 {
			return authority, len(rest)
		}
		from += i
		if start := schemeStart(rest, from); start > 0 && rest[start-1] == ',' {
			return authority[:min(len(authority), start-1)], start
		}
		from += len(schemeEnd)
	}
}

// appendList reads "host:port,host:port" with what may stand around it: "user:password@" before and a path behind. What stands
// before an @ is never taken for a host, and so nothing is taken where later text has one that may belong to it.
func appendList(to []hostPort, list, scheme, later string) []hostPort {
	if at := strings.LastIndexByte(list, '@'); at >= 0 {
		list = list[at+1:]
		later, _, _ = strings.Cut(later, schemeEnd)
	}
	if strings.Contains(later, "@") {
		return to
	}
	list = strings.TrimPrefix(list, "//")                 // as that of Oracle has it
	if inner, ok := strings.CutPrefix(list, "tcp("); ok { // as the MySQL driver of Go has it
		list, _, _ = strings.Cut(inner, ")")
	}
	for item := range strings.SplitSeq(list, ",") {
		if h, ok := hostPortOf(item, scheme); ok {
			to = append(to, h)
		}
	}
	return to
}

// hostPortOf reads one host. Without a port it has to have a scheme with a default one, or to be a Service's full name.
func hostPortOf(item, scheme string) (h hostPort, ok bool) {
	if i := strings.IndexAny(item, "/?"); i >= 0 && scheme == "" {
		if strings.Contains(item[i:], ":") {
			return h, false // an image, not a host
		}
		item = item[:i]
	}
	host, port, written := strings.Cut(item, ":")
	if !isHost(host) {
		return h, false
	}
	if written {
		n, err := strconv.ParseUint(port, 10, 16)
		return hostPort{host, uint16(n)}, err == nil && n > 0 && port[0] != '+'
	}
	n := defaultPort(scheme)
	return hostPort{host, n}, n > 0 || isFullName(host)
}

// isFullName reports whether the host is svc.ns.svc, with or without a cluster domain.
func isFullName(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	return len(labels) >= serviceLabels && strings.EqualFold(labels[2], "svc")
}

// maxHost and maxLabel are how long a DNS name and one part of it may be. Source: RFC 1035, section 2.3.4, without the last dot.
const maxHost, maxLabel = 253, 63

// isHost reports whether s is a DNS name that may be a Service's: no address, and its first label begins with a letter.
// Source: RFC 1035, section 2.3.1; core/v1 Service names.
func isHost(s string) bool {
	if s = strings.TrimSuffix(s, "."); strings.IndexFunc(s, func(c rune) bool { return c > unicode.MaxASCII }) >= 0 {
		return false // some of those have a lower case that is ASCII
	}
	s = strings.ToLower(s)
	if len(s) == 0 || len(s) > maxHost || s[0] < 'a' || s[0] > 'z' || s == "localhost" {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	_, err := netip.ParseAddr(s)
	return err != nil
}

// defaultPort gives the port that a URL means by its scheme, 0 where that is not known. Of "jdbc:postgresql" and
// "postgresql+asyncpg" it is that of postgresql. Source: the IANA registry of service names, and the projects' own documentation.
func defaultPort(scheme string) uint16 {
	scheme = strings.ToLower(scheme[strings.LastIndexByte(scheme, ':')+1:])
	scheme, driver, _ := strings.Cut(scheme, "+")
	if driver == "srv" {
		return 0 // the name is one of an SRV record
	}
	switch scheme {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	case "postgres", "postgresql":
		return 5432
	case "mysql", "mariadb":
		return 3306
	case "sqlserver", "mssql":
		return 1433
	case "redis", "rediss", "valkey":
		return 6379
	case "memcached", "memcache":
		return 11211
	case "mongodb":
		return 27017
	case "amqp":
		return 5672
	case "amqps":
		return 5671
	case "kafka":
		return 9092
	case "nats":
		return 4222
	case "mqtt":
		return 1883
	case "mqtts":
		return 8883
	case "ldap":
		return 389
	case "ldaps":
		return 636
	case "smtp":
		return 25
	case "clickhouse":
		return 9000
	case "cassandra":
		return 9042
	}
	return 0
}
