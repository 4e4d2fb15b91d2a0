# run.gd: raw audio through the class Rtvoice inside Godot 3, and what it promises.
#
#   godot3-server --path PROJECT -s run.gd IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS
extends SceneTree

var failures = 0


func check(holds, what):
	print("ok " if holds else "FAILED ", what)
	if not holds:
		failures += 1


func read_frames(path, channels):
	var file = File.new()
	file.open(path, File.READ)
	var frames = PoolVector2Array()
	var count = file.get_len() / 4 / channels
	frames.resize(count)
	for i in range(count):
		var left = file.get_float()
		frames[i] = Vector2(left, file.get_float() if channels == 2 else 0.0)
	file.close()
	return frames


func read_sizes(path):
	var file = File.new()
	file.open(path, File.READ)
	var sizes = []
	for word in file.get_as_text().split("\n", false):
		sizes.append(int(word))
	file.close()
	return sizes


func bytes_of(path):
	var file = File.new()
	file.open(path, File.READ)
	var bytes = file.get_buffer(file.get_len())
	file.close()
	return bytes


func contract(script):
	var voice = script.new()
	var two = PoolVector2Array([Vector2(0.5, 0.5), Vector2(0.5, 0.5)])
	check(voice.process(two) == PoolVector2Array([Vector2(), Vector2()]), "nothing open is silence")
	check(voice.latency() == 0, "and has no latency")
	check("nowhere.rtv" in voice.open("nowhere.rtv", 48000, 1), "a missing model is named")
	check(voice.open(PoolByteArray([1, 2, 3]), 48000, 1) != "", "bytes that are no model are refused")
	check(voice.open(bytes_of("res://rtvoice/voice.rtv"), 48000, 3) != "", "three channels are refused")
	check(voice.open(bytes_of("res://rtvoice/voice.rtv"), 48000, 1) == "", "a model is opened from bytes")
	check(voice.process(PoolVector2Array()).size() == 0, "no frames are no frames")
	check(not voice.set_parameter("nonsense", 1.0), "an unknown parameter is refused")
	check(voice.set_parameter("mix", 0.5), "a parameter is taken")
	voice.set_bypass(true)
	voice.set_mix(0.0)
	check(voice.process(two).size() == 2, "and the voice runs on")


func _init():
	# A script error ends a function, not the program: the first frame does, with the exit status 1.
	OS.exit_code = 1
	call_deferred("quit")
	var words = OS.get_cmdline_args()
	words = Array(words).slice(words.size() - 5, words.size() - 1)
	var channels = int(words[4])
	var script = load("res://rtvoice/rtvoice.gdns")
	contract(script)
	var voice = script.new()
	check(voice.open(ProjectSettings.globalize_path("res://rtvoice/voice.rtv"), int(words[3]), channels) == "", "a model is opened by path")
	print("latency ", voice.latency())
	var input = read_frames(words[0], channels)
	var sizes = read_sizes(words[2])
	var out = File.new()
	out.open(words[1], File.WRITE)
	var done = 0
	var turn = 0
	while done < input.size():
		var now = min(sizes[turn % sizes.size()], input.size() - done)
		var frames = PoolVector2Array()
		for i in range(now):
			frames.append(input[done + i])
		for frame in voice.process(frames):
			out.store_float(frame.x)
			if channels == 2:
				out.store_float(frame.y)
		done += now
		turn += 1
	out.close()
	OS.exit_code = 1 if failures else 0
