# A package, so that `tests` means this folder: installed distributions ship packages of this name.
