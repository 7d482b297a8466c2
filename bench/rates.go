package main

import "fmt"

// A rated server has done something so many times a second, and spent CPU time on
// each, by run.
type rated struct {
	rate  []float64
	perOp []float64 // nanoseconds; nil where nobody knows
}

// interleave measures n servers in turn, beginning with another one in each run. The first
// run warms up.
func interleave(runs, n int, measure func(i int) (rate, perOp float64, err error)) ([]rated, error) {
	results := make([]rated, n)
	for run := range runs + 1 {
		for i := range n {
			at := (i + run) % n
			rate, perOp, err := measure(at)
			if err != nil {
				return nil, err
			}
			if r := &results[at]; run > 0 {
				r.rate, r.perOp = append(r.rate, rate), append(r.perOp, perOp)
			}
		}
	}
	return results, nil
}

// reportRates prints the medians, and the median of the ratios to the first server's
// run. Where rate is what a server does in a second, op is what it does.
func reportRates(title, rate, op string, names []string, results []rated) {
	fmt.Printf("\n%s; %d runs\n%-24s %14s %8s %18s %8s\n", title, len(results[0].rate), "server", rate, "ratio", "CPU µs/"+op, "ratio")
	for i, r := range results {
		peer := results[0]
		fmt.Printf("%-24s %14.0f %8.3f %18.1f %8.3f\n", names[i], median(r.rate), median(ratios(r.rate, peer.rate)),
			median(r.perOp)/1e3, median(ratios(r.perOp, peer.perOp)))
	}
}
