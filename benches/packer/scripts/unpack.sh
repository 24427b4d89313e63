#!/bin/bash
# The small files, all of them, packed and unpacked again.
set -e
cd /root
tar -czf small.tgz small
mkdir -p /opt/app
tar -xzf small.tgz -C /opt/app
test "$(find /opt/app/small -type f | wc -l)" = 200
