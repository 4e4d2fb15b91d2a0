// Engine.cs: one stream of audio through a model.
using System;
using System.Runtime.InteropServices;

namespace Rtvoice
{
    /// <summary>
    /// One stream. Make it outside the audio callback; call <see cref="Process(float[])"/> in the callback: it allocates nothing on
    /// either side, takes no lock and makes no system call. All other members may be called from any thread meanwhile, except
    /// <see cref="Reset"/>.
    /// </summary>
    public sealed class Engine : IDisposable
    {
        private readonly EngineHandle handle;
        private readonly int channels;
        private readonly int maxFrame;
        private readonly int block;

        /// <summary>Plans the network, lays out and touches all memory: milliseconds of work.</summary>
        /// <exception cref="RtvoiceException">A value out of range; the message names it.</exception>
        public Engine(Model model, EngineConfig config)
        {
            if (model == null) throw new ArgumentNullException("model");
            if (config == null) throw new ArgumentNullException("config");
            NativeConfig native = Native(config);
            RtvoiceException.Check(NativeMethods.rtv_engine_create(model.Handle, ref native, out handle));
            channels = config.Channels;
            maxFrame = config.MaxFrame;
            block = config.Block;
            // The runtime compiles a call on its first use: here rather than on the audio thread.
            float[] nothing = new float[1];
            Check(NativeMethods.rtv_engine_process(handle, ref nothing[0], ref nothing[0], 0));
        }

        private static void Check(Status status) { RtvoiceException.Check(status); }

        private static NativeConfig Native(EngineConfig config)
        {
            return new NativeConfig
            {
                StructSize = (uint)Marshal.SizeOf(typeof(NativeConfig)),
                SampleRate = Positive(config.SampleRate, "SampleRate"),
                MaxFrame = Positive(config.MaxFrame, "MaxFrame"),
                Channels = Positive(config.Channels, "Channels"),
                Block = config.Block == 0 ? 0 : Positive(config.Block, "Block"),
                Resampler = (uint)config.Resampler,
                Seed = config.Seed,
                FadeMs = config.FadeMs,
                Schedule = (uint)config.Schedule
            };
        }

        private static uint Positive(int value, string name)
        {
            if (value < 1) throw new ArgumentOutOfRangeException(name, value, "must be 1 or more");
            return (uint)value;
        }

        /// <summary>Replaces interleaved samples by the engine's output, <see cref="Latency"/> samples later. Real-time safe.</summary>
        /// <param name="samples">Any number of whole sample frames; the length of the array counts.</param>
        /// <returns><see cref="Status.Ok"/>; otherwise the samples are silence.</returns>
        public Status Process(float[] samples) { return samples == null ? Status.Argument : Process(samples, samples, samples.Length / channels); }

        /// <summary>Reads <paramref name="input"/> and writes <paramref name="output"/>, which may be the same array. Real-time safe.</summary>
        /// <param name="input">Interleaved samples.</param>
        /// <param name="output">At least as many.</param>
        /// <param name="frames">Samples per channel, any number: more than MaxFrame are cut into pieces.</param>
        /// <returns><see cref="Status.Ok"/>, <see cref="Status.Argument"/> where an array is null or too short, <see cref="Status.FrameSize"/>
        /// for another length than a promised block. Never throws, unless the engine has been disposed.</returns>
        public Status Process(float[] input, float[] output, int frames)
        {
            if (input == null || output == null || frames < 0) return Status.Argument;
            if ((long)frames * channels > input.Length || (long)frames * channels > output.Length) return Status.Argument;
            int longest = block == 0 ? maxFrame : block;
            Status status = Status.Ok;
            for (int done = 0; done < frames;)
            {
                int now = Math.Min(longest, frames - done), at = done * channels;
                Status one = NativeMethods.rtv_engine_process(handle, ref input[at], ref output[at], (uint)now);
                if (one != Status.Ok) status = one;
                done += now;
            }
            return status;
        }

        /// <summary>Samples from an input to its output; constant while the engine lives.</summary>
        public int Latency { get { return (int)NativeMethods.rtv_engine_latency(handle); } }

        /// <summary>Zero history, as when fresh. Not while <see cref="Process(float[])"/> runs.</summary>
        public void Reset() { NativeMethods.rtv_engine_reset(handle); }

        /// <summary>Sets a parameter of the model, or <c>mix</c> (0 dry to 1 wet), without a click. Any thread.</summary>
        /// <exception cref="ArgumentException">An unknown name, a wrong count, or a value that is not finite.</exception>
        public void Set(string name, params float[] values)
        {
            if (values == null || values.Length == 0) throw new ArgumentException(name + " needs a value", "values");
            Status status = NativeMethods.rtv_engine_set(handle, Text.Bytes(name), ref values[0], (uint)values.Length);
            if (status != Status.Ok)
                throw new ArgumentException("'" + name + "' is no parameter of this model with " + values.Length + " finite value(s); Model.Info lists them", "name");
        }

        /// <summary>Cross-fades to the dry input at equal latency, or back. Any thread.</summary>
        public bool Bypass { set { NativeMethods.rtv_engine_bypass(handle, value ? 1 : 0); } }

        /// <summary>Writes the newest frame of a named value output; returns how many values it has, 0 where there is no such output.</summary>
        public int Output(string name, float[] values)
        {
            if (values == null || values.Length == 0) throw new ArgumentException("needs room for a value", "values");
            return (int)NativeMethods.rtv_engine_output(handle, Text.Bytes(name), ref values[0], (uint)values.Length);
        }

        /// <summary>Prepares another model here, outside the audio thread, and cross-fades to it there.</summary>
        /// <exception cref="RtvoiceException">It needs more latency than the engine has, or the swap before still fades in.</exception>
        public void Swap(Model model)
        {
            if (model == null) throw new ArgumentNullException("model");
            RtvoiceException.Check(NativeMethods.rtv_engine_swap(handle, model.Handle));
        }

        /// <summary>Begins a real-time log of input, output, timing and events in a file that only its owner may read, or ends it: <c>null</c>.
        /// Off until somebody turns it on; the audio thread never waits for the disk.</summary>
        /// <exception cref="RtvoiceException">The file cannot be written, or this engine has a log already.</exception>
        public void Log(string path)
        {
            RtvoiceException.Check(NativeMethods.rtv_engine_log(handle, path == null ? null : Text.Bytes(path)));
        }

        /// <summary>What the engine has done since it was made or reset. Any thread.</summary>
        public EngineStats Stats
        {
            get
            {
                NativeStats native = new NativeStats { StructSize = (uint)Marshal.SizeOf(typeof(NativeStats)) };
                NativeMethods.rtv_engine_stats(handle, ref native);
                return new EngineStats
                {
                    Frames = native.Frames,
                    Calls = native.Calls,
                    Overruns = native.Overruns,
                    Nonfinite = native.Nonfinite,
                    MicrosecondsP50 = native.UsP50,
                    MicrosecondsP99 = native.UsP99,
                    MicrosecondsMax = native.UsMax,
                    Load = native.Load
                };
            }
        }

        /// <summary>Ends the stream. A call that runs meanwhile on the audio thread comes to its end first.</summary>
        public void Dispose() { handle.Dispose(); }
    }
}
