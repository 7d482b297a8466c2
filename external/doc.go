// Package external is a ready-made external session cache for package halfshake:
// sessions in a database, sealed, behind the callbacks that any application could
// write itself.
package external
