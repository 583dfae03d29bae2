// SPDX-License-Identifier: MIT

module example.com/natprobe

go 1.23
