"""The body of `smoke`: smoke.py BIN_DIR WORK_DIR MINI_ISO."""

import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from pyVim.connect import Disconnect
from pyVmomi import vim, vmodl

from smoke_faults import Faults
from smoke_lib import BIN, ISO, VDEV, WORK, Double, check, floppy, keys, refused, say, until, wait


class Smoke(Faults):
    def __init__(self, double):
        self.d = double
        refused(vim.fault.InvalidLogin, "wrong password", lambda: double.login("wrong"))
        self.connect()
        self.govc_env = dict(
            os.environ, GOVC_URL=double.ready["url"], GOVC_USERNAME=double.ready["username"], GOVC_PASSWORD="password",
            GOVC_TLS_CA_CERTS=double.ready["ca"], GOVC_HOME=str(WORK), GOVC_DATASTORE="Packer", GOVC_PERSIST_SESSION="false")
        self.key = WORK / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)

    def connect(self):
        self.si = self.d.login()
        self.content = c = self.si.RetrieveContent()
        self.cookie = self.si._stub.cookie
        self.dc = c.rootFolder.childEntity[0]
        self.cluster = self.dc.hostFolder.childEntity[0]
        self.pool = self.cluster.resourcePool
        self.ds = next(d for d in self.dc.datastore if d.name == "Packer")
        self.folder = next(f for f in self.dc.vmFolder.childEntity if isinstance(f, vim.Folder))

    def govc(self, *args):
        return subprocess.run([BIN / "govc", *args], env=self.govc_env, check=True, capture_output=True, text=True).stdout

    def file_url(self, path):
        return "/folder/%s?dcPath=Packer&dsName=Packer" % urllib.parse.quote(path)

    def put(self, path, data):
        return self.d.http("PUT", self.file_url(path), self.cookie, data, {"Content-Type": "application/octet-stream"})[0]

    def vm(self, name):
        found = self.content.searchIndex.FindByInventoryPath("Packer/vm/Packer/" + name)
        assert isinstance(found, vim.VirtualMachine), (name, found)
        return found

    def ssh(self, ip, command):
        r = subprocess.run(
            ["ssh", "-i", self.key, "-oBatchMode=yes", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null",
             "-oLogLevel=ERROR", "-oConnectTimeout=10", "root@" + ip, command],
            capture_output=True, text=True, timeout=60)
        return r.stdout.strip() if r.returncode == 0 else ""

    # ------------------------------------------------------------ inventory

    def inventory(self):
        check({n.name for n in self.dc.network} >= {"VM Network", "DVPG"}, "networks")
        check({d.name for d in self.dc.datastore} == {"Packer", "small"}, "datastores")
        check("Packer/vm/Packer/bare" in self.govc("find", "/"), "govc finds the bare VM")
        check(self.vm("bare").snapshot is None, "which has no snapshot")
        code, text = self.d.http("GET", "/sdk/vimServiceVersions.xml")
        check(code == 200 and b"urn:vim25" in text, "vimServiceVersions.xml")
        check(self.d.http("GET", self.file_url("x"))[0] == 401, "/folder wants a session")

    def media(self):
        fm = self.content.fileManager
        check(self.put("media/mini.iso", b"x") == 404, "an upload needs its directory")
        fm.MakeDirectory("[Packer] media", self.dc, True)
        iso = ISO.read_bytes()
        check(self.put("media/mini.iso.part", iso) == 201, "upload of %d bytes" % len(iso))
        wait(fm.MoveDatastoreFile_Task("[Packer] media/mini.iso.part", self.dc, "[Packer] media/mini.iso", self.dc, False))
        ks = (f"rootpw --plaintext password\nnetwork --bootproto=dhcp --hostname=smoke\nzerombr\nclearpart --all\n"
              f"part / --fstype=ext4 --grow\nbootloader --append=\"net.ifnames=0\"\n%packages\nbash\n%end\n%post\n"
              f"mkdir -p -m 700 /root/.ssh\necho '{self.key.with_suffix('.pub').read_text().strip()}' >/root/.ssh/authorized_keys\n"
              f"chmod 600 /root/.ssh/authorized_keys\n%end\nreboot\n")
        check(self.put("media/ks.flp", floppy({"ks.cfg": ks.encode()})) == 201, "upload of the floppy")
        spec = vim.host.DatastoreBrowser.SearchSpec(
            matchPattern=["mini.iso*"], details=vim.host.DatastoreBrowser.FileInfo.Details(fileSize=True, fileType=True, modification=True, fileOwner=False))
        found = wait(self.ds.browser.SearchDatastore_Task("[Packer] media", spec))
        check([(f.path, f.fileSize) for f in found.file] == [("mini.iso", len(iso))], "search finds its size")
        req = urllib.request.Request(f"https://{self.d.host}{self.file_url('media/mini.iso')}", method="HEAD", headers={"Cookie": self.cookie})
        with urllib.request.urlopen(req, context=self.d.tls) as r:
            check(int(r.headers["Content-Length"]) == len(iso), "HEAD says its size")
        refused(vim.fault.FileNotFound, "no such directory", lambda: self.ds.browser.SearchDatastore_Task("[Packer] none", spec))
        wait(fm.DeleteDatastoreFile_Task("[Packer] media/ks.flp", self.dc))
        refused(vim.fault.FileNotFound, "deleted twice", lambda: fm.DeleteDatastoreFile_Task("[Packer] media/ks.flp", self.dc))
        check(self.put("media/ks.flp", floppy({"ks.cfg": ks.encode()})) == 201, "and again")

    # ------------------------------------------------------------ creation

    def spec(self, name, network="VM Network", iso="[Packer] media/mini.iso", datastore="Packer"):
        add = vim.vm.device.VirtualDeviceSpec.Operation.add
        connect = lambda: VDEV.VirtualDevice.ConnectInfo(startConnected=True, connected=True, allowGuestControl=True)
        devices = [
            (VDEV.ParaVirtualSCSIController(key=-201, busNumber=0, sharedBus="noSharing", scsiCtlrUnitNumber=7), None),
            (VDEV.VirtualDisk(key=-202, controllerKey=-201, unitNumber=0, capacityInKB=1 << 20,
                              backing=VDEV.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent", thinProvisioned=True)), "create"),
            (VDEV.VirtualVmxnet3(key=-203, addressType="generated", connectable=connect(),
                                 backing=VDEV.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)), None),
            (VDEV.VirtualCdrom(key=-204, controllerKey=200, unitNumber=0, connectable=connect(),
                               backing=VDEV.VirtualCdrom.IsoBackingInfo(fileName=iso)), None),
            (VDEV.VirtualFloppy(key=-205, controllerKey=400, unitNumber=0, connectable=connect(),
                                backing=VDEV.VirtualFloppy.ImageBackingInfo(fileName="[Packer] media/ks.flp")), None)]
        return vim.vm.ConfigSpec(
            name=name, annotation="made by the smoke test", guestId="other5xLinux64Guest", version="vmx-14", firmware="bios",
            numCPUs=1, memoryMB=512, files=vim.vm.FileInfo(vmPathName=f"[{datastore}]"),
            extraConfig=[vim.option.OptionValue(key="forge.test", value="42")],
            bootOptions=vim.vm.BootOptions(bootOrder=[vim.vm.BootOptions.BootableDiskDevice(deviceKey=-202), vim.vm.BootOptions.BootableCdromDevice()]),
            deviceChange=[vim.vm.device.VirtualDeviceSpec(operation=add, device=d, fileOperation=f) for d, f in devices])

    def create(self):
        make = lambda *a, **k: lambda: self.folder.CreateVM_Task(self.spec(*a, **k), self.pool)
        refused(vim.fault.InvalidDatastorePath, "unknown datastore", make("x", datastore="nope"))
        refused(vim.fault.InvalidDeviceBacking, "unknown network", make("x", network="nope"))
        refused(vim.fault.FileNotFound, "missing ISO", make("x", iso="[Packer] media/nope.iso"))
        refused(vim.fault.DuplicateName, "name taken", make("bare"))
        self.base = vm = wait(make("base")())
        devices = {d.key: d for d in vm.config.hardware.device}
        check({1000, 2000, 4000, 3000, 8000} <= devices.keys(), "vCenter's device keys")
        check(vm.config.bootOptions.bootOrder[0].deviceKey == 2000, "the boot order follows them")
        check(vm.layoutEx.file[0].name.endswith("/base.vmx"), "its .vmx is the first of its files")
        check(any(o.key == "forge.test" and o.value == "42" for o in vm.config.extraConfig), "extraConfig")
        check(vm.config.annotation == "made by the smoke test" and vm.config.instanceUuid, "annotation, instanceUuid")
        check(self.content.searchIndex.FindByUuid(None, vm.config.instanceUuid, True, True) == vm, "FindByUuid")
        before = vm.config.changeVersion
        wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="changed")))
        check(vm.config.changeVersion not in (before, ""), "changeVersion changes")
        refused(vim.fault.ConcurrentAccess, "stale changeVersion", lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="x", changeVersion=before)))
        disk = devices[2000]
        disk.capacityInKB //= 2
        disk.capacityInBytes = None
        edit = vim.vm.ConfigSpec(deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)])
        refused(vim.fault.InvalidDeviceSpec, "a disk cannot shrink", lambda: vm.ReconfigVM_Task(edit))
        refused(vim.fault.InvalidPowerState, "power off while off", vm.PowerOffVM_Task)
        refused(vim.fault.InvalidPowerState, "keys while off", lambda: vm.PutUsbScanCodes(keys("a")))
        refused(vim.fault.DuplicateName, "rename to a name taken", lambda: vm.Rename_Task("bare"))
        wait(vm.Rename_Task("other"))
        wait(vm.Rename_Task("base"))

    # ------------------------------------------------------------ a guest

    def install(self):
        vm = self.base
        wait(vm.PowerOnVM_Task())
        refused(vim.fault.InvalidPowerState, "power on twice", vm.PowerOnVM_Task)
        refused(vim.fault.InvalidPowerState, "destroy while on", vm.Destroy_Task)
        refused(vim.fault.InvalidPowerState, "export while on", vm.ExportVm)
        refused(vim.fault.ToolsUnavailable, "shut down without tools", vm.ShutdownGuest)
        time.sleep(3)
        text = "\t ks=hd:fd0:/ks.cfg\n"
        check(vm.PutUsbScanCodes(keys(text)) == len(text), "all keys in one call")
        code, png = self.d.http("GET", "/screen?id=" + vm._moId, self.cookie)
        check(code == 200 and png[:4] == b"\x89PNG", "GET /screen")
        shot = wait(vm.CreateScreenshot_Task())
        code, png = self.d.http("GET", self.file_url(shot.split("] ", 1)[1]), self.cookie)
        check(code == 200 and png[:4] == b"\x89PNG", "CreateScreenshot_Task " + shot)
        self.ip = until(lambda: vm.guest.ipAddress, "the installed guest's address", 180)
        check(self.ip.startswith("127.77.5.") and vm.guest.net[0].ipConfig.ipAddress[0].ipAddress == self.ip, "in the wanted network")
        until(lambda: self.ssh(self.ip, "cat /etc/hostname"), "ssh")
        refused(vim.fault.InvalidPowerState, "eject the CD, but no floppy leaves while on", lambda: self.eject(vm))
        check("qmp " not in (WORK / "double.log").read_text(), "QEMU does as it is told")

    def memory(self):
        """A snapshot with memory: the guest goes on where it stood."""
        vm = self.base
        boot = self.ssh(self.ip, "echo before >/root/mark; sync; cat /proc/sys/kernel/random/boot_id")
        live = wait(vm.CreateSnapshot_Task("live", "", True, False))
        check(vm.snapshot.rootSnapshotList[0].state == "poweredOn", "the snapshot has memory")
        until(lambda: self.ssh(self.ip, "echo after >/root/mark; sync; cat /root/mark") == "after", "the guest runs on")
        wait(vm.PowerOffVM_Task())
        check(not vm.guest.ipAddress, "its address is gone")
        wait(vm.RevertToCurrentSnapshot_Task())
        check(vm.runtime.powerState == "poweredOn", "reverted: powered on")
        self.ip = until(lambda: vm.guest.ipAddress, "its address again", 30)
        until(lambda: self.ssh(self.ip, "cat /root/mark; cat /proc/sys/kernel/random/boot_id") == "before\n" + boot,
              "the same boot, the old file", 30)
        lease = live.ExportSnapshot()
        until(lambda: lease.state == "ready", "ExportSnapshot while it runs", 60)
        lease.HttpNfcLeaseAbort()
        vm.ShutdownGuest()
        until(lambda: vm.runtime.powerState == "poweredOff", "ShutdownGuest", 60)
        self.eject(vm)
        self.clean = wait(vm.CreateSnapshot_Task("clean", "", False, False))
        wait(live.RevertToSnapshot_Task())
        check(vm.runtime.powerState == "poweredOn", "reverted again")
        wait(vm.PowerOffVM_Task())
        branch = wait(vm.CreateSnapshot_Task("branch", "", False, False))
        tree = vm.snapshot.rootSnapshotList
        check([t.name for t in tree] == ["live"] and [t.name for t in tree[0].childSnapshotList] == ["clean", "branch"], "snapshots are a tree")
        wait(branch.RemoveSnapshot_Task(False))
        check([t.name for t in vm.snapshot.rootSnapshotList[0].childSnapshotList] == ["clean"], "RemoveSnapshot_Task")

    def eject(self, vm):
        """What a build does to the media at its end."""
        devices = {d.key: d for d in vm.config.hardware.device}
        cd = devices[3000]
        cd.backing = VDEV.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", useAutoDetect=False)
        cd.connectable = VDEV.VirtualDevice.ConnectInfo(startConnected=False, connected=False, allowGuestControl=True)
        change = vim.vm.device.VirtualDeviceSpec
        wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change(operation="edit", device=cd)])))
        wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change(operation="remove", device=VDEV.VirtualFloppy(key=8000))])))
        now = {d.key: d for d in vm.config.hardware.device}
        check(8000 not in now and isinstance(now[3000].backing, VDEV.VirtualCdrom.RemotePassthroughBackingInfo), "the media are gone")
        check(now[3000].deviceInfo.label == "CD/DVD drive 1" and [k for k in devices if k in now] == list(now), "labels and order stay")

    def clone(self):
        """A linked clone, whose base then goes away."""
        vm, linked = self.base, "createNewChildDiskBacking"
        spec = lambda snap: vim.vm.CloneSpec(location=vim.vm.RelocateSpec(pool=self.pool, diskMoveType=linked), snapshot=snap, powerOn=False, template=False)
        refused(vmodl.fault.InvalidArgument, "linked without a snapshot", lambda: self.vm("bare").CloneVM_Task(self.folder, "x", spec(None)))
        refused(vim.fault.DuplicateName, "clone's name taken", lambda: vm.CloneVM_Task(self.folder, "bare", spec(self.clean)))
        vm.MarkAsTemplate()
        refused(vmodl.fault.NotSupported, "power on a template", vm.PowerOnVM_Task)
        vm.MarkAsVirtualMachine(self.pool)
        clone = self.linked = wait(vm.CloneVM_Task(self.folder, "linked", spec(self.clean)))
        disk = next(d for d in clone.config.hardware.device if isinstance(d, VDEV.VirtualDisk))
        check(disk.backing.parent.fileName.startswith("[Packer] base/"), "the clone is linked")
        disk.capacityInKB *= 2
        disk.capacityInBytes = None
        edit = vim.vm.ConfigSpec(deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)])
        refused(vim.fault.InvalidDeviceSpec, "a linked disk cannot grow", lambda: clone.ReconfigVM_Task(edit))
        wait(vm.RemoveAllSnapshots_Task())
        check(vm.snapshot is None, "RemoveAllSnapshots_Task")
        wait(vm.Destroy_Task())
        wait(clone.PowerOnVM_Task())
        ip = until(lambda: clone.guest.ipAddress, "the clone's address, its base destroyed", 120)
        until(lambda: self.ssh(ip, "cat /root/mark") == "before", "the clone has the data", 30)
        wait(clone.PowerOffVM_Task())

    # ------------------------------------------------------------ export, import

    def download(self, lease, index=0):
        url = lease.info.deviceUrl[index].url.replace("*", self.d.host)
        with urllib.request.urlopen(url, context=self.d.tls) as r:
            return r.read()

    def export(self):
        lease = self.linked.ExportVm()
        until(lambda: lease.state == "ready", "ExportVm", 60)
        dev = lease.info.deviceUrl[0]
        check(dev.url.startswith("https://*/") and dev.disk and dev.sslThumbprint == self.d.ready["thumbprint"], "the lease's URL")
        lease.HttpNfcLeaseProgress(50)
        disk = self.download(lease)
        check(len(disk) % 512 == 0 and disk[-512:] == bytes(512), "the disk ends with the end-of-stream marker")
        entry = lease.HttpNfcLeaseGetManifest()[0]
        check((entry.key, entry.size, entry.sha1) == (dev.key, len(disk), hashlib.sha1(disk).hexdigest()), "manifest: sha1")
        check((entry.checksumType, entry.checksum) == ("sha256", hashlib.sha256(disk).hexdigest()), "manifest: sha256")
        files = [vim.OvfManager.OvfFile(deviceId=dev.key, path="linked-disk-0.vmdk", size=len(disk))]
        text = self.content.ovfManager.CreateDescriptor(self.linked, vim.OvfManager.CreateDescriptorParams(name="linked", ovfFiles=files)).ovfDescriptor
        lease.HttpNfcLeaseComplete()
        (WORK / "linked-disk-0.vmdk").write_bytes(disk)
        (WORK / "linked.ovf").write_text(text)
        say("exported", len(disk), "bytes")

        params = vim.OvfManager.CreateImportSpecParams(entityName="again", diskProvisioning="thin")
        spec = self.content.ovfManager.CreateImportSpec(text, self.pool, self.ds, params)
        check(not spec.error and spec.fileItem[0].size == len(disk), "CreateImportSpec")
        lease = self.pool.ImportVApp(spec.importSpec, self.folder)
        until(lambda: lease.state == "ready", "ImportVApp", 20)
        dev = lease.info.deviceUrl[0]
        check(dev.importKey == spec.fileItem[0].deviceId, "the import key")
        path = urllib.parse.urlsplit(dev.url).path
        check(self.d.http("POST", path, None, disk, {"Content-Type": "application/x-vnd.vmware-streamVmdk"})[0] in (200, 201), "upload of the disk")
        vm = lease.info.entity
        lease.HttpNfcLeaseComplete()
        name = next(d for d in vm.config.hardware.device if isinstance(d, VDEV.VirtualDisk)).backing.fileName.split("] ", 1)[1]
        there = pathlib.Path(self.d.ready["dir"], "datastores", "Packer", name.replace(".vmdk", "-flat.vmdk"))
        subprocess.run(["qemu-img", "compare", "-q", WORK / "linked-disk-0.vmdk", there], check=True)
        check(vm.config.hardware.memoryMB == 512, "the imported VM has the same data")
        self.govc("vm.destroy", "again")
        self.govc("import.ovf", "-ds", "Packer", "-pool", "/Packer/host/Packer/Resources", "-folder", "/Packer/vm/Packer", "-name", "bygovc", str(WORK / "linked.ovf"))
        self.govc("export.ovf", "-vm", "bygovc", "-sha", "256", str(WORK / "out"))
        check((WORK / "out/bygovc/bygovc.ovf").exists(), "govc imports and exports")
        self.govc("vm.destroy", "bygovc")

    # ------------------------------------------------------------ what is left

    def efi(self):
        """An EFI machine, its variables and its memory; other networks; tickets."""
        bare = self.vm("bare")
        self.govc("vm.network.add", "-vm", "bare", "-net", "DVPG", "-net.adapter", "e1000e")
        nic = next(d for d in bare.config.hardware.device if isinstance(d, VDEV.VirtualE1000e))
        check(nic.backing.port.portgroupKey and nic.macAddress.startswith("00:50:56"), "a NIC on the port group")
        mac = nic.macAddress
        nic.macAddress = None
        nic.backing = VDEV.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
        wait(bare.ReconfigVM_Task(vim.vm.ConfigSpec(firmware="efi", deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="edit", device=nic)])))
        check(bare.guest.net[0].network == "VM Network" and bare.guest.net[0].macAddress == mac, "and on another, with its address")
        wait(bare.PowerOnVM_Task())
        time.sleep(2)
        live = wait(bare.CreateSnapshot_Task("live", "", True, False))
        wait(live.RevertToSnapshot_Task())
        check(bare.runtime.powerState == "poweredOn", "EFI: memory kept and resumed")
        wait(bare.PowerOffVM_Task())
        lease = bare.ExportVm()
        until(lambda: lease.state == "ready", "EFI: lease", 20)
        check([(u.disk, u.targetId) for u in lease.info.deviceUrl] == [(True, "disk-0.vmdk"), (False, "bare.nvram")], "EFI: nvram is offered")
        check(len(self.download(lease, 1)) > 100000, "EFI: nvram")
        lease.HttpNfcLeaseComplete()
        wait(bare.RemoveAllSnapshots_Task())
        self.govc("vm.clone", "-vm", "bare", "-on=false", "-folder", "/Packer/vm/Packer", "-ds", "Packer", "full")
        disk = next(d for d in self.vm("full").config.hardware.device if isinstance(d, VDEV.VirtualDisk))
        check(disk.backing.parent is None and self.vm("full").config.firmware == "efi", "a full clone by govc")
        wait(self.vm("full").Destroy_Task())
        ticket = self.content.sessionManager.AcquireGenericServiceTicket(vim.SessionManager.HttpServiceRequestSpec(method="httpGet", url="x"))
        get = lambda: self.d.http("GET", self.file_url("media/ks.flp"), "vmware_cgi_ticket=" + ticket.id)[0]
        check((get(), get()) == (200, 401), "a ticket is good for one transfer")
        self.updates(bare)

    def updates(self, bare):
        """Waiting for changes, as clients wait for tasks."""
        pc = self.content.propertyCollector.CreatePropertyCollector()
        Spec = vmodl.query.PropertyCollector
        pc.CreateFilter(Spec.FilterSpec(
            objectSet=[Spec.ObjectSpec(obj=bare)], propSet=[Spec.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])]), True)
        first = pc.WaitForUpdatesEx("", Spec.WaitOptions(maxWaitSeconds=5))
        began = time.time()
        check(pc.WaitForUpdatesEx(first.version, Spec.WaitOptions(maxWaitSeconds=1)) is None and time.time() - began < 5, "no change in time")
        task = bare.Rename_Task("renamed")
        change = pc.WaitForUpdatesEx(first.version, Spec.WaitOptions(maxWaitSeconds=10))
        check(change.filterSet[0].objectSet[0].changeSet[0].val == "renamed", "WaitForUpdatesEx tells a change")
        wait(task)
        wait(bare.Rename_Task("bare"))
        pc.DestroyPropertyCollector()

    def end(self):
        calls = self.d.control("GET", "/calls")
        check(calls["calls"]["PowerOnVM_Task"] > 3 and calls["http"]["folder"]["in"] > ISO.stat().st_size, "GET /calls")
        self.d.control("DELETE", "/calls")
        check(not self.d.control("GET", "/calls")["calls"], "DELETE /calls")
        for name in ("linked", "bare"):
            wait(self.vm(name).Destroy_Task())
        cookie = self.cookie
        Disconnect(self.si)
        check(self.d.http("GET", self.file_url("media/mini.iso"), cookie)[0] == 401, "Logout ends the session")


def qemus(double):
    """The QEMU processes of a double, by its directory in their command lines."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = p.read_bytes()
        except OSError:
            continue
        if b"-qmp" in line and double.ready["dir"].encode() in line:
            found.append(int(p.parent.name))
    return found


def esx():
    """A host without a vCenter, beside the other; and how it ends."""
    d = Double("-esx", "-guest-net", "127.77.6", "-bare-vm", "bare")
    si = d.login()
    content = si.RetrieveContent()
    check(content.about.apiType == "HostAgent", "ESXi: apiType")
    dc = content.rootFolder.childEntity[0]
    check(dc.name == "ha-datacenter", "ESXi: datacenter")
    vm = dc.vmFolder.childEntity[0]
    pool = dc.hostFolder.childEntity[0].resourcePool
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(), powerOn=False, template=False)
    refused(vmodl.fault.NotSupported, "ESXi: clone", lambda: vm.CloneVM_Task(dc.vmFolder, "x", spec))
    refused(vmodl.fault.NotSupported, "ESXi: template", vm.MarkAsTemplate)
    check(d.http("POST", "/rest/com/vmware/cis/session")[0] == 404, "ESXi: no REST API")
    disk = next(x for x in vm.config.hardware.device if isinstance(x, VDEV.VirtualDisk))
    content.fileManager.MakeDirectory("[Packer] copy", dc, True)
    wait(content.virtualDiskManager.CopyVirtualDisk_Task(disk.backing.fileName, dc, "[Packer] copy/copy.vmdk", dc, None, False))
    add = [VDEV.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing"),
           VDEV.VirtualDisk(key=-2, controllerKey=-1, unitNumber=0, capacityInKB=0, backing=VDEV.VirtualDisk.FlatVer2BackingInfo(
               fileName="[Packer] copy/copy.vmdk", diskMode="persistent"))]
    copy = wait(dc.vmFolder.CreateVM_Task(vim.vm.ConfigSpec(
        name="copy", guestId="otherLinux64Guest", memoryMB=256, files=vim.vm.FileInfo(vmPathName="[Packer]"),
        deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="add", device=x) for x in add]), pool))
    check(copy.config.hardware.device[-1].capacityInKB == disk.capacityInKB, "ESXi: a VM with a copied disk")
    wait(copy.PowerOnVM_Task())
    check(len(qemus(d)) == 1, "ESXi: it runs")
    Disconnect(si)
    d.stop()
    check(not qemus(d), "and its guest with it")


def orphan():
    """The end of its parent ends it."""
    d = Double("-guest-net", "127.77.7", "-bare-vm", "bare", through=["sh", "-c", '"$@" & wait', "sh"])
    si = d.login()
    wait(si.content.searchIndex.FindByInventoryPath("Packer/vm/Packer/bare").PowerOnVM_Task())
    check(len(qemus(d)) == 1, "a guest runs")
    d.proc.send_signal(signal.SIGKILL)
    until(lambda: not qemus(d) and not pathlib.Path(d.ready["dir"]).exists(), "the parent's end ends all", 10)


def main():
    d = Double("-tls", "ca", "-guest-net", "127.77.5", "-bare-vm", "bare", "-trace", str(WORK / "trace"))
    try:
        s = Smoke(d)
        for step in (s.inventory, s.media, s.create, s.install, s.memory, s.clone, s.export, s.efi, s.faults, s.end, esx, orphan):
            say("---", step.__name__)
            step()
        d.stop()
    except BaseException:
        d.proc.terminate()
        d.proc.wait()
        sys.stderr.write((WORK / "double.log").read_text()[-3000:])
        raise
    say("ALL OK")


main()
