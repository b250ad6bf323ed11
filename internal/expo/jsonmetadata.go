package expo

import "unsafe"

// JSONMetadata is the JSON view with the type, the help text and the unit of each family. A
// family is an object. Its member "series" is the list of series that the family is in JSON.
var JSONMetadata = Format{jsonID, nil, jsonBegin, jsonWhole, jsonFloat, jsonHistogram, jsonFinish,
	unsafe.Pointer(&moreFormat{nil, encodeNative, describe, nil})}

// describe appends a family up to the list of its series. The string of the help text is one
// allocation for each family.
func describe(b []byte, f *Family) []byte {
	b = put(put(put(b, `:{"type":"`), f.Kind.openName()), `","help":`)
	b, _ = appendJSONQuoted(b, string(putQuoted(nil, f.Help)))
	if f.Unit != "" {
		b = putQuoted(put(b, `,"unit":`), f.Unit)
	}
	return put(b, `,"series"`)
}
