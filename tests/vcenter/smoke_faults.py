"""Every fault of the control port, once."""

import http.client
import ssl
import urllib.error

from pyVmomi import vim, vmodl

from smoke_lib import check, refused, say, until, wait


class Faults:
    """The part of the smoke test that switches faults on."""

    def faults(self):
        bare, d = self.vm("bare"), self.d
        d.fault("task-error", 1, "CreateSnapshot_Task", "the disk is on fire")
        refused(vmodl.MethodFault, "task-error", lambda: bare.CreateSnapshot_Task("x", "", False, False), "the disk is on fire")
        d.fault("slow-task", 1, "SearchDatastore_Task", 60)
        task = self.ds.browser.SearchDatastore_Task("[Packer]")
        check(task.info.state == "running", "slow-task")
        task.CancelTask()
        refused(vmodl.fault.RequestCanceled, "CancelTask", lambda: task)
        d.fault("no-privilege", -1, "PowerOnVM_Task")
        e = refused(vim.fault.NoPermission, "no-privilege", bare.PowerOnVM_Task)
        check(e.privilegeId == "VirtualMachine.Interact.PowerOn", e.privilegeId)
        am, ids = self.content.authorizationManager, ["VirtualMachine.Interact.PowerOn", "VirtualMachine.Interact.PowerOff"]
        got = am.HasPrivilegeOnEntities([bare], self.content.sessionManager.currentSession.key, ids)[0]
        check([p.isGranted for p in got.privAvailability] == [False, True], "HasPrivilegeOnEntities")
        have = am.FetchUserPrivilegeOnEntities([bare], d.ready["username"])[0].privileges
        check([i in have for i in ids] == [False, True], "FetchUserPrivilegeOnEntities")
        d.calm()
        self.question(bare)
        self.space()
        self.transfers(bare)
        d.fault("session-expired", 1)
        refused(vim.fault.NotAuthenticated, "session-expired", lambda: self.si.CurrentTime() and bare.name)
        refused(vim.fault.NotAuthenticated, "and really", lambda: bare.name)
        self.connect()
        check(self.vm("bare").name == "bare", "logged in again")
        self.restart()

    def restart(self):
        d = self.d
        d.fault("slow-task", 1, "CreateSnapshot_Task", 3)
        bare = self.vm("bare")
        task = bare.CreateSnapshot_Task("through a restart", "", False, False)
        d.control("GET", "/met")
        d.control("POST", "/restart?seconds=2")
        try:
            d.http("GET", "/sdk/vimServiceVersions.xml")
            raise AssertionError("it answers while it is away")
        except (ConnectionError, urllib.error.URLError) as e:
            check("refused" in str(e), "restart: " + str(e))

        def again():
            try:
                self.connect()
                return True
            except OSError:
                return False

        until(again, "there again", 20)
        bare = self.vm("bare")
        lost = vim.Task(task._moId, bare._stub)
        refused(vmodl.fault.ManagedObjectNotFound, "the task is forgotten", lambda: lost.info)
        until(lambda: bare.snapshot is not None, "what it was for is done nevertheless", 10)
        wait(bare.RemoveAllSnapshots_Task())

    def question(self, bare):
        self.d.fault("question", 1, "bare")
        task = bare.PowerOnVM_Task()
        q = until(lambda: bare.runtime.question, "question", 5)
        refused(vmodl.fault.InvalidArgument, "answer to another question", lambda: bare.AnswerVM("no", "1"))
        bare.AnswerVM(q.id, q.choice.choiceInfo[2].key)
        wait(task)
        check(bare.runtime.question is None and bare.runtime.powerState == "poweredOn", "AnswerVM")
        wait(bare.PowerOffVM_Task())

    def space(self):
        d = self.d
        d.fault("datastore-full", -1)
        check(self.ds.summary.freeSpace < 1 << 20, "datastore-full: freeSpace")
        refused(vim.fault.NoDiskSpace, "datastore-full", lambda: self.folder.CreateVM_Task(self.spec("x"), self.pool))
        check(self.put("media/x", b"x") == 500, "datastore-full: upload")
        d.calm()
        check(self.ds.summary.freeSpace > 1 << 30 and self.put("media/x", b"x") == 201, "there is room again")

    def transfers(self, bare):
        d = self.d
        d.fault("http-502", 2, "/folder")
        check(self.put("media/x", b"y") == 502 and self.put("media/x", b"y") == 502 and self.put("media/x", b"y") == 200, "http-502, twice")
        d.fault("cut-transfer", 1, "/folder", 100000)
        try:
            d.http("GET", self.file_url("media/mini.iso"), self.cookie)
            raise AssertionError("the download was not cut")
        except (http.client.IncompleteRead, ConnectionError, ssl.SSLError) as e:
            check(getattr(e, "partial", b"x" * 100000)[:1] != b"", "cut-transfer: GET: " + type(e).__name__)
        d.fault("cut-transfer", 1, "/folder", 1000)
        try:
            self.put("media/y", bytes(5 << 20))
            raise AssertionError("the upload was not cut")
        except (urllib.error.URLError, ConnectionError, ssl.SSLError, http.client.HTTPException) as e:
            say("ok: cut-transfer: PUT:", type(e).__name__)
        d.fault("lease-unreachable", 1)
        lease = bare.ExportVm()
        until(lambda: lease.state == "ready", "lease of the bare VM", 20)
        try:
            self.download(lease)
            raise AssertionError("the lease's host answered")
        except urllib.error.URLError as e:
            check("refused" in str(e), "lease-unreachable: " + str(e))
        lease.HttpNfcLeaseAbort()
        d.fault("slow-transfer", 1, "/folder", 1000)
        try:
            d.http("PUT", self.file_url("media/y"), self.cookie, bytes(1 << 20), timeout=2)
            raise AssertionError("the transfer was not slow")
        except (TimeoutError, urllib.error.URLError) as e:
            check("timed out" in str(e), "slow-transfer: " + str(e))
        d.fault("cut-transfer", 1, "/nfc", 100)
        lease = bare.ExportVm()
        until(lambda: lease.state == "ready", "another lease", 20)
        try:
            self.download(lease)
            raise AssertionError("the export was not cut")
        except (http.client.IncompleteRead, ConnectionError, ssl.SSLError) as e:
            say("ok: cut-transfer: export:", type(e).__name__)
        check(len(self.download(lease)) > 1000, "and once more")
        lease.HttpNfcLeaseComplete()
