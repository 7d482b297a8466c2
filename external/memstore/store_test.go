package memstore_test

import (
	"testing"

	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
	"github.com/halfshake/halfshake/external/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(testing.TB) external.Store { return memstore.New(memstore.Config{}) })
}
