package main

import "runtime/debug"

// version describes this build: the module's version, and the commit if it was built in a
// clone.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			text += " " + setting.Value
		}
	}
	return "halfshake " + text + " " + info.GoVersion
}
