// EngineConfig.cs: how an engine is made.
namespace Rtvoice
{
    /// <summary>How samples go between the host's rate and the model's.</summary>
    public enum Resampler
    {
        /// <summary><see cref="Fir"/> where the ratio allows it, else <see cref="Fastest"/>.</summary>
        Auto = 0,
        /// <summary>Ratios of whole numbers up to 44.1 to 16 kHz's 441:160; 2 ms each way.</summary>
        Fir = 1,
        /// <summary>libsamplerate's SINC_FASTEST.</summary>
        Fastest = 2,
        /// <summary>libsamplerate's SINC_MEDIUM.</summary>
        Medium = 3,
        /// <summary>libsamplerate's SINC_BEST.</summary>
        Best = 4,
        /// <summary>As <see cref="Fir"/>; 1 ms each way, a softer pass band.</summary>
        FirShort = 5
    }

    /// <summary>When the network runs.</summary>
    public enum Schedule
    {
        /// <summary>In the call that completes its hop.</summary>
        Inline = 0,
        /// <summary>Spread evenly over the calls that follow; one hop more latency, the same bits.</summary>
        Sliced = 1
    }

    /// <summary>How an engine is made. The defaults are those of the C interface.</summary>
    public sealed class EngineConfig
    {
        /// <summary>The host's rate in Hz, 8000 to 192000. Unity: <c>AudioSettings.outputSampleRate</c>.</summary>
        public int SampleRate = 48000;
        /// <summary>Interleaved channels, each its own stream, 1 to 32.</summary>
        public int Channels = 1;
        /// <summary>The longest frame of one native call, 1 to 65536 samples per channel. Longer ones are cut by <see cref="Engine.Process(float[])"/>.</summary>
        public int MaxFrame = 1024;
        /// <summary>0: frames of any size. N: a promise of exactly N, for less latency.</summary>
        public int Block = 0;
        /// <summary>How samples go between the host's rate and the model's.</summary>
        public Resampler Resampler = Resampler.Auto;
        /// <summary>Of the model's noise.</summary>
        public ulong Seed = 0;
        /// <summary>Of bypass, mix and swap, 0 to 1000 ms.</summary>
        public float FadeMs = 20f;
        /// <summary>When the network runs.</summary>
        public Schedule Schedule = Schedule.Inline;
    }

    /// <summary>A snapshot of what an engine has done since it was made or reset.</summary>
    public struct EngineStats
    {
        /// <summary>Samples per channel processed.</summary>
        public ulong Frames;
        /// <summary>Native calls.</summary>
        public ulong Calls;
        /// <summary>Calls that took longer than the audio they made.</summary>
        public ulong Overruns;
        /// <summary>Input samples that were not finite, and hops whose output had to be silenced.</summary>
        public ulong Nonfinite;
        /// <summary>Microseconds of a call, the median.</summary>
        public float MicrosecondsP50;
        /// <summary>Microseconds of a call, the 99th percentile.</summary>
        public float MicrosecondsP99;
        /// <summary>The slowest call, in microseconds.</summary>
        public float MicrosecondsMax;
        /// <summary>Time spent over time of the audio processed.</summary>
        public float Load;
    }
}
