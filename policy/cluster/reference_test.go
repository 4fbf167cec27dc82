package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// pod makes a pod with one container of these variables, written NAME=value, and arguments.
func podOf(env, args []string) *corev1.PodSpec {
	c := corev1.Container{Args: args}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		v := corev1.EnvVar{Name: name, Value: value}
		if value == "<secret>" {
			v = corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "x"}}}
		}
		c.Env = append(c.Env, v)
	}
	return &corev1.PodSpec{Containers: []corev1.Container{c}}
}

func referenceWords(spec *corev1.PodSpec) string {
	var out []string
	for _, r := range cluster.ReferencesOf(spec) {
		out = append(out, fmt.Sprintf("%s %s:%d", r.Source, r.Host, r.Port))
	}
	return strings.Join(out, ", ")
}

// TestReferences: what is taken for a host, and what is not.
func TestReferences(t *testing.T) {
	tests := []struct{ env, want string }{
		{"A=cache:6379", "env A cache:6379"},
		{"A=cache.data:6379", "env A cache.data:6379"},
		{"A=cache.data.svc.cluster.local.:6379", "env A cache.data.svc.cluster.local.:6379"},
		{"A=cache.data.svc", "env A cache.data.svc:0"},
		{"A=a:9092,b:9092", "env A a:9092, env A b:9092"},
		{"A=a:9092 b:9093;c:9094", "env A a:9092, env A b:9093, env A c:9094"},
		{"A=a:80,a:80", "env A a:80"},
		{"A=PLAINTEXT://a:9092,PLAINTEXT://b:9092", "env A a:9092, env A b:9092"},
		{"A=http://api/v1", "env A api:80"},
		{"A=https://api.shop.svc.cluster.local/v1?next=http://web:80", "env A api.shop.svc.cluster.local:443"},
		{"A=http://a/x,http://b:81/y,c:82", "env A a:80, env A b:81"},
		{"A=c:82,http://a", "env A c:82, env A a:80"},
		{"A=postgres://user:pw@db/shop", "env A db:5432"},
		{"A=postgresql+asyncpg://user:pw@db:6000/shop", "env A db:6000"},
		{"A=jdbc:postgresql://db:5432/shop?user=u&password=a:1", "env A db:5432"},
		{"A=jdbc:postgresql://db1,db2:6000/shop", "env A db1:5432, env A db2:6000"},
		{"A=jdbc:sqlserver://sql;databaseName=x;password=a:1", "env A sql:1433"},
		{"A=jdbc:oracle:thin:@//ora:1521/x", "env A ora:1521"},
		{"A=mysql://db", "env A db:3306"},
		{"A=u:p@tcp(db:3306)/shop?parseTime=true", "env A db:3306"},
		{"A=user:password@cache:6379", "env A cache:6379"},
		{"A=rediss://:pw@cache", "env A cache:6379"},
		{"A=cache:6379/0", "env A cache:6379"},
		{"A=amqps://u:p@mq,amqp://u:p@mq2/vhost", "env A mq:5671, env A mq2:5672"},
		{"A=mongodb://u:p@m1:27018,m2/db?replicaSet=rs0", "env A m1:27018, env A m2:27017"},
		{"A=mongodb+srv://u:p@cluster0/db", ""},
		{"A=kafka://broker", "env A broker:9092"},
		{"A=custom://thing", ""},
		{"A=custom://thing:99", "env A thing:99"},
		{"A=s3://orders/path", ""},
		// no hosts
		{"A=cache", ""},
		{"A=web api", ""},
		{"A=debug", ""},
		{"A=10.0.0.1:80", ""},
		{"A=[fd00::1]:80", ""},
		{"A=fd00::1", ""},
		{"A=12:30", ""},
		{"A=localhost:80", ""},
		{"A=cache:", ""},
		{"A=cache:0", ""},
		{"A=cache:70000", ""},
		{"A=cache:+80", ""},
		{"A=:8080", ""},
		{"A=registry:5000/shop/api:1", ""},
		{"A=example.com/api:1", ""},
		{"A=unix:///var/run/x.sock", ""},
		{`A={"host":"db","port":5432}`, ""},
		{"A=-----BEGIN x: y-----", ""},
		{"A=http://$(UNKNOWN):80", ""},
		{"A=pool=db:1", ""},
		// secrets
		{"DB_PASSWORD=abc:123", ""},
		{"AUTH_TOKEN_URL=http://auth:8080/token", "env AUTH_TOKEN_URL auth:8080"},
		{"A=postgres://user:12,34@db/x", "env A db:5432"},
		{"A=postgres://user:12;x@db/x", ""},
		{"A=postgres://user:12 x@db:1/x", "env A db:1"},
		{"A=postgres://user:12/x@db", ""},
		{"A=postgres://user:1,x://b:2@db", ""},
		// pairs
		{"REDIS_HOST=cache|REDIS_PORT=6379", "env REDIS_HOST cache:6379"},
		{"REDIS_PORT=6379|REDIS_HOST=cache", "env REDIS_HOST cache:6379"},
		{"PGHOST=db|PGPORT=5432", "env PGHOST db:5432"},
		{"spring.redis.host=cache|spring.redis.port=6379", "env spring.redis.host cache:6379"},
		{"DB_HOSTNAME=db.data|DB_PORT=tcp://10.0.0.1:1", "env DB_HOSTNAME db.data:0"},
		{"REDIS_HOST=10.0.0.1|REDIS_PORT=6379", ""},
		{"REDIS_HOST=fd00::1|REDIS_PORT=6379", ""},
		{"REDIS_HOST=cache:7000|REDIS_PORT=6379", "env REDIS_HOST cache:7000"},
		{"HOST=web|PORT=80", ""},
		// variables
		{"NS=data|A=cache.$(NS):6379", "env A cache.data:6379"},
		{"A=cache.$(NS):6379|NS=data", ""},
		{"PW=<secret>|A=redis://:$(PW)@cache", "env A cache:6379"},
		{"H=<secret>|A=redis://$(H):6379", ""},
		{"H=a|A=$$(H):80", ""},
		{"A=$(A):80", ""},
		{"P=6379|A=cache:$(P)", "env A cache:6379"},
	}
	for _, test := range tests {
		if got := referenceWords(podOf(strings.Split(test.env, "|"), nil)); got != test.want {
			t.Errorf("%s\n got %q\nwant %q", test.env, got, test.want)
		}
	}
}

func TestReferencesInArguments(t *testing.T) {
	tests := []struct{ args, want string }{
		{"--upstream=api:8080", "argument --upstream api:8080"},
		{"--upstream|api:8080", "argument --upstream api:8080"},
		{"-upstream=http://api", "argument -upstream api:80"},
		{"serve|api:8080", "argument api:8080"},
		{"-pSecret1|db:3306", "argument db:3306"},
		{"-h|db|-P|3306", ""},
		{"--db-host|db|--db-port|5432", "argument --db-host db:5432"},
		{"--db-host=db|--db-port=5432", "argument --db-host db:5432"},
		{"--verbose|--upstream|api:8080", "argument --upstream api:8080"},
		{"--addr=$(H):80", "argument --addr env-host:80"},
		{"-c|until nc -z db 5432; do curl http://api:8080/ready; done", "argument api:8080"},
		{"--password|abc:123", ""},
		{"--web.listen-address=:8080", ""},
		{"--bind=0.0.0.0:80", ""},
	}
	for _, test := range tests {
		if got := referenceWords(podOf([]string{"H=env-host"}, strings.Split(test.args, "|"))); got != test.want {
			t.Errorf("%s\n got %q\nwant %q", test.args, got, test.want)
		}
	}
	both := podOf([]string{"A=a:1"}, nil)
	both.InitContainers = podOf(nil, []string{"--wait=db:5432"}).Containers
	if got, want := referenceWords(both), "argument --wait db:5432, env A a:1"; got != want {
		t.Errorf("init containers\n got %q\nwant %q", got, want)
	}
}

// TestReferenceService: which Service a host means to a pod of the namespace shop.
func TestReferenceService(t *testing.T) {
	for host, want := range map[string]string{
		"cache": "shop/cache", "cache.data": "data/cache", "cache.data.svc": "data/cache", "CACHE.data.SVC": "data/cache",
		"cache.data.svc.cluster.local": "data/cache", "cache.data.svc.corp": "data/cache", "cache.data.svc.corp.": "data/cache",
		"cache.": "none", "cache.data.svc.": "none", "www.example.com": "none", "cache-0.cache.data.svc": "none",
	} {
		r := cluster.Reference{Host: host}
		got := "none"
		if name, ok := r.Service("shop"); ok {
			got = name.Namespace + "/" + name.Name
		}
		if got != want {
			t.Errorf("%s is %s, want %s", host, got, want)
		}
	}
}

// TestUsesKeepReferences: a workload gives back what its pods' specs say.
func TestUsesKeepReferences(t *testing.T) {
	p := &corev1.Pod{Spec: *podOf([]string{"A=cache:6379", "B=http://api.data"}, nil)}
	p.Namespace, p.Name = "shop", "web"
	w := cluster.WorkloadOf(p)
	want := cluster.ReferencesOf(&p.Spec)
	if got := w.Uses()[0].References; !slices.Equal(got, want) || len(want) != 2 {
		t.Errorf("got %v, want %v", got, want)
	}
	b := cluster.NewBuilder(cluster.Options{})
	b.SetPod(cluster.PodOf(p))
	n := b.Snapshot().Namespace("shop")
	if !n.Mentions("data") || n.Mentions("shop") || n.Mentions("web") {
		t.Errorf("shop mentions data %t, shop %t and web %t, want data alone", n.Mentions("data"), n.Mentions("shop"), n.Mentions("web"))
	}
}

// FuzzReferences: any value gives hosts that stand in it, that may be Services, and nothing that stands before an @.
func FuzzReferences(f *testing.F) {
	for _, value := range []string{
		"a:9092,b:9092", "postgres://u:p@db:5432/x", "jdbc:postgresql://a,b:1/x", "$(A)$(A):80", "http://[::1]:80", "u:p@tcp(db:1)/x",
		"REDIS", "x://y://z:1,://", "a@b@c:1", "http://a,http://b", ",,://,@:1", "\x00:1", "ſvc:80", "K:1",
	} {
		f.Add(value, "secret")
		f.Add("x", value)
	}
	f.Fuzz(func(t *testing.T, value, secret string) {
		spec := podOf([]string{"A=" + value, "B_HOST=" + value, "C=$(A)" + value}, []string{"--x", value, "--y=" + value, value})
		for _, r := range cluster.ReferencesOf(spec) {
			r.Service("shop")
			if r.Host == "" || len(r.Host) > 254 || strings.ContainsAny(r.Host, "@:/[]$() \x00") {
				t.Errorf("%q gives the host %q", value, r.Host)
			}
			if !strings.Contains(value+value, r.Host) {
				t.Errorf("%q gives the host %q, which is not in it", value, r.Host)
			}
		}
		if strings.ContainsAny(secret, "@\x00") {
			return // an @ is to be escaped in what stands before one
		}
		for _, r := range cluster.ReferencesOf(podOf([]string{"A=redis://user:" + secret + "@db.data:6379/0"}, nil)) {
			if r.Host != "db.data" && len(secret) < 1000 {
				t.Errorf("the password %q gives the host %q", secret, r.Host)
			}
		}
	})
}
