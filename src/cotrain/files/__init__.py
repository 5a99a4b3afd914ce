"""The files that stages write and read, and the record of how each was made.

- atomic: files and folders are written whole or not at all
- contract, ids, hdf5, labelfiles, tables, scores: the formats of docs/formats.md
- hashes, sidecars, code, provenance: how a file was made; the workflow imports these, so they are light
- origins: the same for any file, from inside it if need be
"""
