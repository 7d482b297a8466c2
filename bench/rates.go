package main

import "fmt"

// A rated server has done something so many times a second, and spent CPU time on
// each, by run.
type rated struct {
	rate  []float64
	perOp []float64 // nanoseconds; 0 where nobody knows
}

// interleave measures each of n servers in turn, so many times, and begins with
// another one each time. The first run warms up, and does not count.
func interleave(runs, n int, measure func(i int, counts bool) error) error {
	for run := range runs + 1 {
		for i := range n {
			if err := measure((i+run)%n, run > 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// rate is interleave for rates.
func rate(runs, n int, measure func(i int) (rate, perOp float64, err error)) ([]rated, error) {
	results := make([]rated, n)
	err := interleave(runs, n, func(i int, counts bool) error {
		rate, perOp, err := measure(i)
		if r := &results[i]; counts {
			r.rate, r.perOp = append(r.rate, rate), append(r.perOp, perOp)
		}
		return err
	})
	return results, err
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
