package conformance

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

const rowsOfLibssl = 171

// unobservable are the rows whose answer is "same" and that no scenario shows: those that
// no client of Go or libssl can be made to show through its public API, and a client's own.
var unobservable = map[int]string{
	39:  "no client sends a session_id of more than 32 bytes (TestReadsPerClientHello, TestServerRefusesHello)",
	130: "every client here offers a usable PSK mode",
	149: "the bytes of a stateful ticket are an id, and nothing follows it (TestSessionEncoding, TestLadder)",
	153: "a client's (TestClientSessionRefused, TestClientFindIsNotTrusted)",
	154: "a client's (TestProposal, TestClientBySessionID)",
	156: "a client's (TestClientResumes)",
	157: "a client's (TestClientSessionRefused, TestClientBySessionID)",
	158: "a client's (TestClientEmptyTicket)",
}

// TestSameRowsHaveScenarios holds that each row of docs/openssl.md whose answer is "same"
// has a scenario, or a reason why it has none.
func TestSameRowsHaveScenarios(t *testing.T) {
	covered := make(map[int]bool)
	for _, s := range loadScenarios(t) {
		if len(s.Rows) == 0 {
			t.Errorf("%s names no row", s.Name)
		}
		for _, row := range s.Rows {
			covered[row] = true
			if row > rowsOfLibssl {
				t.Errorf("%s names row %d; there are %d", s.Name, row, rowsOfLibssl)
			}
		}
	}
	doc, err := os.ReadFile("../../docs/openssl.md")
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| same \|`).FindAllSubmatch(doc, -1) {
		same++
		row, _ := strconv.Atoi(string(m[1]))
		if reason := unobservable[row]; covered[row] == (reason != "") {
			t.Errorf("row %d is the same as libssl: covered by a scenario %v, reason for none %q; want one of the two", row, covered[row], reason)
		}
	}
	if same < 30 {
		t.Errorf("docs/openssl.md has %d rows that are the same: this test sees too little", same)
	}
}
