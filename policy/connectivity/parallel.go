package connectivity

import (
	"context"
	"iter"
	"runtime"
	"sync"
)

// batch is how many pieces of work a goroutine takes at a time: enough to be worth the handing over, few enough that
// what waits for its turn stays small.
const batch = 8

// inOrder yields the results for 0 to n-1 in that order, worked out by as many goroutines as there are processors. Each
// has a worker of its own. It ends early when ctx does.
func inOrder[T any](ctx context.Context, n int, worker func() func(i int) T) iter.Seq[T] {
	return func(yield func(T) bool) {
		ctx, stop := context.WithCancel(ctx)
		type job struct {
			from, to int
			done     chan []T
		}
		jobs, queue := make(chan job), make(chan job, runtime.GOMAXPROCS(0))
		var all sync.WaitGroup
		defer all.Wait()
		defer stop()
		for range min(runtime.GOMAXPROCS(0), (n+batch-1)/batch) {
			all.Go(func() {
				work := worker()
				for j := range jobs {
					out := make([]T, 0, j.to-j.from)
					for i := j.from; i < j.to && ctx.Err() == nil; i++ {
						out = append(out, work(i))
					}
					j.done <- out
				}
			})
		}
		all.Go(func() {
			defer close(queue)
			defer close(jobs)
			for from := 0; from < n; from += batch {
				j := job{from, min(from+batch, n), make(chan []T, 1)}
				select {
				case queue <- j: // waits while too many results wait for their turn
				case <-ctx.Done():
					return
				}
				select {
				case jobs <- j:
				case <-ctx.Done():
					return
				}
			}
		})
		for j := range queue {
			var out []T
			select {
			case out = <-j.done:
			case <-ctx.Done():
				return
			}
			for _, x := range out {
				if !yield(x) {
					return
				}
			}
			if len(out) < j.to-j.from {
				return
			}
		}
	}
}
