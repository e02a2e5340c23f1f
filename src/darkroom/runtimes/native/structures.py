"""The structures of ``network.h`` as ctypes sees them. Names and order are those of the header."""

import ctypes
from ctypes import c_float, c_int32, c_int64, c_void_p

NOTHING, BYTES, SIGNED, FLOATS, SHORTS = range(5)
PHOTO, CONVOLUTION, LARGEST, MEAN, DEPTHWISE = range(5)

LANES = 16  # channels of a vector
GROUPS = {BYTES: 4, SHORTS: 2, FLOATS: 1}  # inputs that one instruction multiplies, four bytes of each output
LINE = 64  # bytes that weights and planes begin at a multiple of
WIDTHS = {BYTES: 1, SIGNED: 1, FLOATS: 4, SHORTS: 2}
LIMITS = {BYTES: (0, 255), SIGNED: (-128, 127), SHORTS: (-32768, 32767)}
MOST_CHANNELS = 4  # of a photo
MOST_REST = 8  # rows of a window that leave a byte over each; rows, and bytes, from one such window to the next


class Output(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p),
        ("row", c_int64),
        ("pixel", c_int64),
        ("scale", c_void_p),
        ("shift", c_void_p),
        ("low", c_float),
        ("high", c_float),
        ("type", c_int32),
    )


class Other(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p),
        ("row", c_int64),
        ("pixel", c_int64),
        ("scale", c_float),
        ("shift", c_float),
        ("type", c_int32),
    )


class Epilogue(ctypes.Structure):
    _fields_ = (
        ("scale", c_void_p),
        ("shift", c_void_p),
        ("rounds", c_int32),
        ("low", c_float),
        ("high", c_float),
        ("step", c_float),
        ("other", Other),
        ("least", c_void_p),
        ("first", Output),
        ("second", Output),
        ("second_of_first", c_int32),
    )


class Step(ctypes.Structure):
    _fields_ = (
        ("kind", c_int32),
        ("rows", c_int32),
        ("columns", c_int32),
        ("vectors", c_int32),
        ("input", c_void_p),
        ("input_row", c_int64),
        ("input_pixel", c_int64),
        ("window_row", c_int64),
        ("window_pixel", c_int64),
        ("window", c_int32),
        ("run", c_int32),
        ("input_type", c_int32),
        ("input_rows", c_int32),
        ("input_columns", c_int32),
        ("top", c_int32),
        ("left", c_int32),
        ("stride_down", c_int32),
        ("stride_right", c_int32),
        ("weights", c_void_p),
        ("rest", c_int32),
        ("channels", c_int32),
        ("table", c_void_p),
        ("end", Epilogue),
    )
