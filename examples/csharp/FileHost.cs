// FileHost.cs: a C# host without a sound card: calls the engine with a list of frame sizes, as Unity or a device would.
//
//   mono FileHost.exe MODEL.rtv IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS
//
// Raw interleaved float32 in and out; the list repeats until the input is used up.
using System;
using System.Globalization;
using System.IO;
using Rtvoice;

internal static class FileHost
{
    private static int Main(string[] words)
    {
        if (words.Length != 6)
        {
            Console.Error.WriteLine("usage: FileHost MODEL.rtv IN.f32 OUT.f32 FRAMES.txt RATE CHANNELS");
            return 2;
        }
        try
        {
            float[] samples = Read(words[1]);
            int rate = Number(words[4]), channels = Number(words[5]);
            int[] sizes = Array.ConvertAll(File.ReadAllText(words[3]).Split((char[])null, StringSplitOptions.RemoveEmptyEntries), Number);
            using (Model model = Model.Open(words[0]))
            using (Engine engine = new Engine(model, new EngineConfig { SampleRate = rate, Channels = channels }))
            {
                Run(engine, samples, sizes, channels);
                Console.WriteLine(samples.Length / channels + " samples at " + rate + " Hz, latency " + engine.Latency + ", " + Library.InstructionSet);
            }
            Write(words[2], samples);
            return 0;
        }
        catch (Exception error)
        {
            Console.Error.WriteLine("FileHost: " + error.Message);
            return 1;
        }
    }

    private static void Run(Engine engine, float[] samples, int[] sizes, int channels)
    {
        float[] frame = new float[65536 * channels]; // what the audio system would hand over
        int total = samples.Length / channels;
        for (int done = 0, turn = 0; done < total; ++turn)
        {
            int now = Math.Min(Math.Min(sizes[turn % sizes.Length], 65536), total - done);
            Array.Copy(samples, done * channels, frame, 0, now * channels);
            Status status = engine.Process(frame, frame, now);
            if (status != Status.Ok) throw new InvalidOperationException("a frame of " + now + " samples: " + status);
            Array.Copy(frame, 0, samples, done * channels, now * channels);
            done += now;
        }
    }

    private static int Number(string text) { return int.Parse(text, CultureInfo.InvariantCulture); }

    private static float[] Read(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        float[] samples = new float[bytes.Length / sizeof(float)];
        Buffer.BlockCopy(bytes, 0, samples, 0, samples.Length * sizeof(float));
        return samples;
    }

    private static void Write(string path, float[] samples)
    {
        byte[] bytes = new byte[samples.Length * sizeof(float)];
        Buffer.BlockCopy(samples, 0, bytes, 0, bytes.Length);
        File.WriteAllBytes(path, bytes);
    }
}
