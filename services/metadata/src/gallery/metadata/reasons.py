"""Why a photo came to a bad end, in a sentence that says what to do."""

SENTENCES = {
    "truncated": "the file ends before its picture does: copy it again from where it came",
    "undecodable": "no decoder can make a picture of it: open it elsewhere and save it anew",
    "unsupported_type": "by its content this is no photo or video of a type that is taken in",
    "empty": "the file has no content: copy it again from where it came",
    "too_many_pixels": "it has more pixels than any camera takes: scale it down",
    "too_many_scans": "it has more progressive scans than any photo: save it anew",
    "too_large_to_decode": "the file is larger than any picture: split it or save it anew",
    "decode_timeout": "decoding took longer than any photo needs: save it anew",
    "decode_memory": "decoding needs more memory than any photo: scale it down or save it anew",
}
"""Rejections by the code that ml-worker gives; the original is kept whatever the reason."""


def sentence(code: str, *, stage: str) -> str:
    """Say why a stage of a photo ended badly."""
    known = SENTENCES.get(code)
    return known or f"the stage {stage} cannot work with this file: {code.replace('_', ' ')}"
