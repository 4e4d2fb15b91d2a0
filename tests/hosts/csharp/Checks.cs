// Checks.cs: what the C# binding and the Unity filter promise, each as a named check; the test in Python compares the audio.
//
//   Checks.exe contract MODEL                                  the binding's promises
//   Checks.exe filter MODEL IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS    audio through AudioFilter.OnAudioFilterRead
using System;
using System.Globalization;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Threading;
using Rtvoice;
using Rtvoice.Unity;
using UnityEngine;

internal static class Checks
{
    private static int failures;

    private static void Check(bool holds, string what)
    {
        Console.WriteLine((holds ? "ok " : "FAILED ") + what);
        if (!holds) ++failures;
    }

    private static int Main(string[] words)
    {
        if (words[0] == "filter") Filter(words);
        else Contract(words[1]);
        return failures == 0 ? 0 : 1;
    }

    // ---- The binding ----

    private static void Contract(string path)
    {
        StructsAreTheLibrarys();
        ErrorsNameTheRemedy(path);
        using (Model model = Model.Open(path))
        {
            Check(model.Info.Contains("\"whisper\""), "a model tells its name");
            AudioThreadAllocatesNothing(model);
            WrongArgumentsAreStatuses(model);
            ParametersAndStatistics(model);
            DisposeWaitsForTheAudioThread(model);
            EnginesOutliveTheirModel(path);
        }
        FilterPromises(path);
    }

    private static void StructsAreTheLibrarys()
    {
        byte[] room = new byte[4096];
        NativeMethods.rtv_config_init(room);
        Check(BitConverter.ToInt32(room, 0) == Marshal.SizeOf(typeof(NativeConfig)), "NativeConfig has rtv_config's size");
        int fade = (int)Marshal.OffsetOf(typeof(NativeConfig), "FadeMs");
        Check(BitConverter.ToSingle(room, fade) == new EngineConfig().FadeMs, "fade_ms lies where C# looks for it, with the same default");
        Array.Clear(room, 0, room.Length);
        NativeMethods.rtv_stats_init(room);
        Check(BitConverter.ToInt32(room, 0) == Marshal.SizeOf(typeof(NativeStats)), "NativeStats has rtv_stats's size");
    }

    private static void ErrorsNameTheRemedy(string path)
    {
        try
        {
            Model.Open("nowhere/\u00e4.rtv");
            Check(false, "a missing file is an exception");
        }
        catch (RtvoiceException error)
        {
            Check(error.Status == Status.File && error.Message.Contains("\u00e4.rtv"), "a missing file is an exception that names it");
        }
        try
        {
            Model.Open(new byte[100]);
            Check(false, "bytes that are no model are an exception");
        }
        catch (RtvoiceException error)
        {
            Check(error.Status == Status.Model && error.Message.Length > 10, "bytes that are no model are an exception");
        }
        using (Model model = Model.Open(path))
        {
            try
            {
                new Engine(model, new EngineConfig { SampleRate = 1 });
                Check(false, "a rate out of range is an exception");
            }
            catch (RtvoiceException error)
            {
                Check(error.Message.Contains("sample_rate"), "a rate out of range is an exception that names it");
            }
        }
    }

    private static void AudioThreadAllocatesNothing(Model model)
    {
        using (Engine engine = new Engine(model, new EngineConfig { Channels = 2 }))
        {
            float[] frame = new float[2 * 1500];
            engine.Process(frame);
            Check(Allocated(delegate { engine.Process(frame); }) == 0, "Process allocates nothing, jumbo frames included");
            Check(Allocated(delegate { GC.KeepAlive(new float[16]); }) > 0, "the measure of allocations sees a planted one");
        }
    }

    // Bytes that 2000 calls allocate on this thread, beyond those of an empty call.
    private static long Allocated(Action action)
    {
        action();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 2000; ++i) action();
        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private static void WrongArgumentsAreStatuses(Model model)
    {
        using (Engine engine = new Engine(model, new EngineConfig()))
        {
            float[] frame = new float[480];
            Check(engine.Process(null) == Status.Argument, "a null array is a status");
            Check(engine.Process(frame, frame, 481) == Status.Argument, "more frames than samples is a status");
            Check(engine.Process(frame, frame, -1) == Status.Argument, "a negative count is a status");
            Check(engine.Process(frame, frame, 0) == Status.Ok, "no frames do nothing");
            Check(engine.Process(new float[0]) == Status.Ok, "an empty array does nothing");
        }
    }

    private static void ParametersAndStatistics(Model model)
    {
        using (Engine engine = new Engine(model, new EngineConfig()))
        {
            engine.Set("mix", 0f);
            float[] frame = new float[4800];
            for (int i = 0; i < frame.Length; ++i) frame[i] = 0.001f * (i % 100);
            float[] kept = (float[])frame.Clone();
            engine.Process(frame);
            bool dry = true;
            for (int i = engine.Latency; i < frame.Length; ++i) dry &= frame[i] == kept[i - engine.Latency];
            Check(dry, "mix 0 gives the input, Latency samples later");
            Check(engine.Stats.Frames == 4800 && engine.Stats.Calls >= 5, "statistics count frames and calls");
            try
            {
                engine.Set("nonsense", 1f);
                Check(false, "an unknown parameter is an exception");
            }
            catch (ArgumentException error)
            {
                Check(error.Message.Contains("nonsense"), "an unknown parameter is an exception that names it");
            }
            string log = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
            engine.Log(log);
            engine.Process(frame);
            engine.Log(null);
            Check(new FileInfo(log).Length > 4800 * 2 * sizeof(float), "a log holds input and output");
            File.Delete(log);
            engine.Swap(model);
            engine.Reset();
            Check(engine.Process(frame) == Status.Ok, "an engine runs after swap and reset");
        }
    }

    private static void DisposeWaitsForTheAudioThread(Model model)
    {
        int refused = 0;
        for (int round = 0; round < 20; ++round)
        {
            Engine engine = new Engine(model, new EngineConfig());
            Thread audio = new Thread(delegate()
            {
                float[] frame = new float[480];
                try
                {
                    while (true) engine.Process(frame);
                }
                catch (ObjectDisposedException)
                {
                    ++refused;
                }
            });
            audio.Start();
            Thread.Sleep(2);
            engine.Dispose();
            audio.Join();
        }
        Check(refused == 20, "an engine may be disposed while the audio thread is in it");
    }

    private static void EnginesOutliveTheirModel(string path)
    {
        Model model = Model.Open(File.ReadAllBytes(path));
        Engine engine = new Engine(model, new EngineConfig());
        model.Dispose();
        Check(engine.Process(new float[480]) == Status.Ok, "an engine outlives its model");
        engine.Dispose();
        engine.Dispose();
    }

    // ---- The Unity filter ----

    private static void Send(object target, string message, params object[] arguments)
    {
        typeof(AudioFilter).GetMethod(message, BindingFlags.Instance | BindingFlags.NonPublic).Invoke(target, arguments);
    }

    private static void FilterPromises(string path)
    {
        AudioFilter filter = new AudioFilter();
        float[] loud = { 0.5f, 0.5f };
        Send(filter, "OnEnable");
        Send(filter, "OnAudioFilterRead", loud, 2);
        Check(Debug.last.Contains("no voice is set") && loud[0] == 0f, "a filter without a voice says so, and plays silence");
        Send(filter, "OnDisable");

        filter.voice = new TextAsset { bytes = File.ReadAllBytes(path) };
        Send(filter, "OnEnable");
        Check(filter.Engine != null, "a filter with a voice has an engine");
        loud = new float[] { 0.5f, 0.5f, 0.5f };
        Send(filter, "OnAudioFilterRead", loud, 1);
        Check(loud[0] == 0f && filter.Engine.Stats.Frames == 0, "another channel count is silence until Update");
        Send(filter, "Update");
        Send(filter, "OnAudioFilterRead", loud, 1);
        Check(filter.Engine.Stats.Frames == 3, "then an engine of that count runs");
        Engine before = filter.Engine;
        AudioSettings.Change(44100);
        Check(filter.Engine != null && filter.Engine != before, "another device makes a new engine");
        Send(filter, "OnDisable");
        Check(filter.Engine == null, "a disabled filter has none");
        AudioSettings.Change(48000);
        Check(filter.Engine == null, "and makes none");
    }

    private static void Filter(string[] words)
    {
        int channels = int.Parse(words[6], CultureInfo.InvariantCulture);
        AudioSettings.outputSampleRate = int.Parse(words[5], CultureInfo.InvariantCulture);
        AudioSettings.speakerMode = channels == 1 ? AudioSpeakerMode.Mono : AudioSpeakerMode.Stereo;
        AudioFilter filter = new AudioFilter { voice = new TextAsset { bytes = File.ReadAllBytes(words[1]) } };
        Send(filter, "OnEnable");
        var read = (Action<float[], int>)Delegate.CreateDelegate(
            typeof(Action<float[], int>), filter, typeof(AudioFilter).GetMethod("OnAudioFilterRead", BindingFlags.Instance | BindingFlags.NonPublic));

        byte[] bytes = File.ReadAllBytes(words[2]);
        int[] sizes = Array.ConvertAll(File.ReadAllText(words[4]).Split((char[])null, StringSplitOptions.RemoveEmptyEntries), int.Parse);
        int width = channels * sizeof(float), done = 0;
        for (int turn = 0; done < bytes.Length; ++turn)
        {
            float[] data = new float[Math.Min(sizes[turn % sizes.Length], (bytes.Length - done) / width) * channels];
            Buffer.BlockCopy(bytes, done, data, 0, data.Length * sizeof(float));
            Send(filter, "Update");
            read(data, channels);
            Buffer.BlockCopy(data, 0, bytes, done, data.Length * sizeof(float));
            done += data.Length * sizeof(float);
        }
        File.WriteAllBytes(words[3], bytes);
        Check(filter.Engine.Stats.Frames == (ulong)(bytes.Length / width), "every sample went through the engine");
    }
}
