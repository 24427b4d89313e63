// disk.go keeps the virtual disks. For "[ds] vm/vm.vmdk" the simulator makes
// two empty files, vm.vmdk and vm-flat.vmdk. Here vm-flat.vmdk holds the data
// (a qcow2 image, which may be an overlay of another disk's data) and vm.vmdk a
// few lines of text that say so.

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

func flatName(name string) string { return strings.TrimSuffix(name, ".vmdk") + "-flat.vmdk" }

// dataFile is where the bytes of the disk go.
func dataFile(dsPath string) (string, error) { return hostPath(flatName(dsPath)) }

// diskImage finds the disk's image and its format by its first bytes.
func diskImage(dsPath string) (file, format string, err error) {
	desc, err := hostPath(dsPath)
	if err != nil {
		return "", "", err
	}
	for _, file := range []string{flatName(desc), desc} {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		magic := make([]byte, 4)
		n, _ := io.ReadFull(f, magic)
		f.Close()
		switch {
		case n == 0:
			continue
		case string(magic) == "QFI\xfb":
			return file, "qcow2", nil
		case string(magic) == "KDMV":
			return file, "vmdk", nil
		case file != desc:
			return file, "raw", nil
		}
	}
	return "", "", fmt.Errorf("%s: no disk image", dsPath)
}

func qemuImg(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "qemu-img", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = ownGroup()
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return out, fmt.Errorf("qemu-img %s: %v: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

type imageInfo struct {
	VirtualSize int64  `json:"virtual-size"`
	ActualSize  int64  `json:"actual-size"`
	Format      string `json:"format"`
	File        string `json:"filename"`
}

// imageChain describes an image and, after it, those that it is based on.
func imageChain(file string) ([]imageInfo, error) {
	var chain []imageInfo
	out, err := qemuImg(context.Background(), "info", "-U", "--backing-chain", "--output=json", file)
	if err == nil {
		err = json.Unmarshal(out, &chain)
	}
	if err == nil && len(chain) == 0 {
		err = fmt.Errorf("%s: not an image", file)
	}
	return chain, err
}

// describe writes the text part of a disk.
func describe(dsPath, parent string) error {
	desc, err := hostPath(dsPath)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(desc), 0o755); err != nil {
		return err
	}
	s := "# Disk DescriptorFile\nversion=1\ncreateType=\"custom\"\n" +
		"# the data is the qcow2 image " + filepath.Base(flatName(desc)) + "\n"
	if parent != "" {
		s += "parentFileNameHint=\"" + parent + "\"\n"
	}
	return os.WriteFile(desc, []byte(s), 0o644)
}

// newData describes a disk and says where its data goes.
func newData(dsPath, parent string) (string, error) {
	if err := describe(dsPath, parent); err != nil {
		return "", err
	}
	return dataFile(dsPath)
}

func createBlank(dsPath string, bytes int64) error {
	file, err := newData(dsPath, "")
	if err != nil {
		return err
	}
	_, err = qemuImg(context.Background(), "create", "-q", "-f", "qcow2", file, strconv.FormatInt(bytes, 10))
	return err
}

// createOverlay makes dsPath a copy-on-write child of parent.
func createOverlay(dsPath, parent string) error {
	pfile, pfmt, err := diskImage(parent)
	if err != nil {
		return err
	}
	file, err := newData(dsPath, parent)
	if err != nil {
		return err
	}
	_, err = qemuImg(context.Background(), "create", "-q", "-f", "qcow2", "-b", pfile, "-F", pfmt, file)
	return err
}

// copyDisk makes dsPath a full copy of src, with no parent.
func copyDisk(ctx context.Context, dsPath, src string) error {
	sfile, sfmt, err := diskImage(src)
	if err != nil {
		return err
	}
	file, err := newData(dsPath, "")
	if err != nil {
		return err
	}
	_, err = qemuImg(ctx, "convert", "-U", "-f", sfmt, "-O", "qcow2", sfile, file)
	return err
}

// exportDisk writes the whole content of a disk, parents included, as the
// stream-optimized VMDK that an ESXi host's NFC service sends.
func exportDisk(dsPath, out string) error {
	file, format, err := diskImage(dsPath)
	if err != nil {
		return err
	}
	if _, err = qemuImg(context.Background(), "convert", "-U", "-f", format, "-O", "vmdk",
		"-o", "subformat=streamOptimized,adapter_type=lsilogic", file, out); err != nil {
		return err
	}
	return endStream(out)
}

// endStream ends a stream-optimized VMDK as a host does, with a marker that is
// an empty sector. qemu-img fills the file up with empty sectors, or adds none.
func endStream(file string) error {
	const sector = 512
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 72)
	if _, err = f.ReadAt(head, 0); err != nil {
		return err
	}
	at := int64(binary.LittleEndian.Uint64(head[64:])) * sector // what comes before the grains
	for marker := head[:12]; ; {                                // a grain's place and its length
		if _, err = f.ReadAt(marker, at); err != nil && err != io.EOF {
			return err
		}
		length := int64(binary.LittleEndian.Uint32(marker[8:]))
		if err == io.EOF || length == 0 {
			return f.Truncate(at + sector)
		}
		at += (int64(len(marker)) + length + sector - 1) / sector * sector
	}
}

func vmDisks(devices []types.BaseVirtualDevice) []*types.VirtualDisk {
	var out []*types.VirtualDisk
	for _, d := range devices {
		if disk, ok := d.(*types.VirtualDisk); ok && fileBacking(disk) != nil {
			out = append(out, disk)
		}
	}
	return out
}

// fileBacking is a device's backing if that is a file.
func fileBacking(d types.BaseVirtualDevice) *types.VirtualDeviceFileBackingInfo {
	if b, ok := d.GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		return b.GetVirtualDeviceFileBackingInfo()
	}
	return nil
}

func diskPath(d *types.VirtualDisk) string { return fileBacking(d).FileName }

func diskBytes(d *types.VirtualDisk) int64 {
	if d.CapacityInKB != 0 {
		return d.CapacityInKB * 1024
	}
	return d.CapacityInBytes
}

// hasParent says whether a disk is an overlay, whose size cannot be changed.
func hasParent(d *types.VirtualDisk) bool {
	b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	return ok && b.Parent != nil
}

// materialise gives every disk of the VM an image of its capacity: a new one
// where the simulator left an empty file, a grown one where it was enlarged.
func materialise(devices []types.BaseVirtualDevice, running bool) error {
	for _, d := range vmDisks(devices) {
		want := diskBytes(d)
		file, format, err := diskImage(diskPath(d))
		if err != nil {
			if err := createBlank(diskPath(d), want); err != nil {
				return err
			}
			continue
		}
		if running {
			continue
		}
		chain, err := imageChain(file)
		if err != nil {
			return err
		}
		if want > chain[0].VirtualSize {
			if _, err := qemuImg(context.Background(), "resize", "-q", "-f", format, file, strconv.FormatInt(want, 10)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyVirtualDisk is VirtualDiskManager's way to clone a disk, the only one on
// a host without a vCenter.
func copyVirtualDisk(c *call, j *job) (types.AnyType, types.BaseMethodFault) {
	req := c.body.(*types.CopyVirtualDisk_Task)
	if fault := checkFile(req.SourceName); fault != nil {
		return nil, fault
	}
	if fault := checkDatastore(req.DestName); fault != nil {
		return nil, fault
	}
	if checkFile(req.DestName) == nil && (req.Force == nil || !*req.Force) {
		return nil, &types.FileAlreadyExists{FileFault: types.FileFault{File: req.DestName}}
	}
	err := copyDisk(j.ctx, req.DestName, req.SourceName)
	c.w.refreshSpace()
	return nil, sysErr(err)
}
