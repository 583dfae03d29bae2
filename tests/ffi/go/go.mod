// SPDX-License-Identifier: MIT

module example.com/natprobe-driver

go 1.23

require example.com/natprobe v0.0.0

replace example.com/natprobe => ../../../examples/go
