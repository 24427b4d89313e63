// keys.go types on the guest's keyboard: PutUsbScanCodes carries USB HID usage
// codes (page 7), QEMU wants QKeyCode names.

package main

import (
	"fmt"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// hidToQcode maps a usage of the HID keyboard page to QEMU's key name.
var hidToQcode = func() map[int32]string {
	m := map[int32]string{
		0x28: "ret", 0x29: "esc", 0x2a: "backspace", 0x2b: "tab", 0x2c: "spc",
		0x2d: "minus", 0x2e: "equal", 0x2f: "bracket_left", 0x30: "bracket_right",
		0x31: "backslash", 0x32: "backslash", 0x33: "semicolon", 0x34: "apostrophe",
		0x35: "grave_accent", 0x36: "comma", 0x37: "dot", 0x38: "slash", 0x39: "caps_lock",
		0x46: "print", 0x47: "scroll_lock", 0x48: "pause", 0x49: "insert", 0x4a: "home",
		0x4b: "pgup", 0x4c: "delete", 0x4d: "end", 0x4e: "pgdn", 0x4f: "right",
		0x50: "left", 0x51: "down", 0x52: "up", 0x53: "num_lock",
		0x54: "kp_divide", 0x55: "kp_multiply", 0x56: "kp_subtract", 0x57: "kp_add",
		0x58: "kp_enter", 0x63: "kp_decimal", 0x64: "less", 0x65: "menu",
		0xe0: "ctrl", 0xe1: "shift", 0xe2: "alt", 0xe3: "meta_l",
		0xe4: "ctrl_r", 0xe5: "shift_r", 0xe6: "alt_r", 0xe7: "meta_r",
	}
	for i := int32(0); i < 26; i++ {
		m[0x04+i] = string(rune('a' + i))
	}
	for i := int32(0); i < 9; i++ {
		m[0x1e+i] = string(rune('1' + i))
		m[0x59+i] = "kp_" + string(rune('1'+i))
	}
	m[0x27], m[0x62] = "0", "kp_0"
	for i := int32(0); i < 12; i++ {
		m[0x3a+i] = fmt.Sprintf("f%d", i+1)
	}
	return m
}()

type inputEvent struct {
	Type string `json:"type"`
	Data struct {
		Down bool `json:"down"`
		Key  struct {
			Type string `json:"type"`
			Data string `json:"data"`
		} `json:"key"`
	} `json:"data"`
}

func keyEvent(qcode string, down bool) inputEvent {
	var e inputEvent
	e.Type = "key"
	e.Data.Down = down
	e.Data.Key.Type = "qcode"
	e.Data.Key.Data = qcode
	return e
}

// typeKeys presses and releases each key of the spec, one after another: in
// the vSphere API one KeyEvent is a whole key stroke, its modifiers held
// around it. It returns how many were typed. The pauses keep the PS/2
// controller's 16-byte queue from overflowing while a BIOS polls it.
func typeKeys(q *qmpClient, spec types.UsbScanCodeSpec, gap time.Duration) (int32, error) {
	var n int32
	send := func(evs ...inputEvent) error {
		_, err := q.do("input-send-event", map[string]any{"events": evs})
		time.Sleep(gap)
		return err
	}
	for _, ev := range spec.KeyEvents {
		if page := ev.UsbHidCode & 0xffff; page != 7 {
			return n, fmt.Errorf("usbHidCode %#x: not the keyboard page", ev.UsbHidCode)
		}
		usage := (ev.UsbHidCode >> 16) & 0xffff
		key, ok := hidToQcode[usage]
		if !ok {
			return n, fmt.Errorf("usbHidCode %#x: no such key", ev.UsbHidCode)
		}
		var mods []string
		if m := ev.Modifiers; m != nil {
			for _, x := range []struct {
				on   *bool
				name string
			}{
				{m.LeftControl, "ctrl"}, {m.LeftShift, "shift"}, {m.LeftAlt, "alt"}, {m.LeftGui, "meta_l"},
				{m.RightControl, "ctrl_r"}, {m.RightShift, "shift_r"}, {m.RightAlt, "alt_r"}, {m.RightGui, "meta_r"},
			} {
				if x.on != nil && *x.on && x.name != key {
					mods = append(mods, x.name)
				}
			}
		}
		var down, up []inputEvent
		for _, k := range append(mods, key) {
			down = append(down, keyEvent(k, true))
			up = append([]inputEvent{keyEvent(k, false)}, up...)
		}
		if err := send(down...); err != nil {
			return n, err
		}
		if err := send(up...); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
