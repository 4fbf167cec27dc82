package webhook

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestRefreshReadsTheNamespaceAsItIs(t *testing.T) {
	builder := shop()
	builder.SetPolicy(compiled(t, policyOf("gone")))
	client := fake.NewClientset(policyOf("a"), badPolicy("bad"), podOf("web-1", map[string]string{"app": "web"}), podOf("web-2", map[string]string{"app": "web"}))
	s, err := NewLive(client).Refresh(t.Context(), builder.Snapshot(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	live := s.Live(s.Namespace("shop"))
	if len(s.Policies("shop")) != 1 || s.Policy("shop", "a") == nil || len(live) != 1 || live[0].Pods != 2 || live[0].Labels["app"] != "web" {
		t.Errorf("policies %v, live %v", s.Policies("shop"), live)
	}
	if !s.Namespace("shop").Known {
		t.Error("the namespace itself is forgotten")
	}
}

func TestRefreshReadsPodsPageByPage(t *testing.T) {
	client := fake.NewClientset()
	pages := 0
	client.PrependReactor("list", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		o := action.(clienttesting.ListActionImpl).GetListOptions()
		page, _ := strconv.Atoi(o.Continue)
		if o.Limit != livePage || page != pages {
			return true, nil, fmt.Errorf("limit %d, page %q", o.Limit, o.Continue)
		}
		pages++
		out := &corev1.PodList{Items: []corev1.Pod{*podOf(fmt.Sprintf("p-%d", page), map[string]string{"app": "api"})}}
		if pages < 3 {
			out.ListMeta = metav1.ListMeta{Continue: strconv.Itoa(pages)}
		}
		return true, out, nil
	})
	s, err := NewLive(client).Refresh(t.Context(), shop().Snapshot(), "shop")
	if err != nil || s.Stats().Pods != 3 {
		t.Errorf("%d pods, %v", s.Stats().Pods, err)
	}
}

func TestLiveReadsAreBounded(t *testing.T) {
	l := NewLive(fake.NewClientset())
	for range liveReads {
		l.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Refresh(ctx, shop().Snapshot(), "shop"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-l.slots
	if _, err := l.Refresh(t.Context(), shop().Snapshot(), "shop"); err != nil {
		t.Errorf("a slot is free: %v", err)
	}
	if len(l.slots) != liveReads-1 {
		t.Error("a slot was not given back")
	}
}

func TestMissingIsNoError(t *testing.T) {
	l := NewLive(fake.NewClientset())
	if ns, err := l.Namespace(t.Context(), "none"); ns != nil || err != nil {
		t.Errorf("namespace %v, %v", ns, err)
	}
	if p, err := l.Pod(t.Context(), "shop", "none"); p != nil || err != nil {
		t.Errorf("pod %v, %v", p, err)
	}
}
